# Training of the multi-view networks on captures with scans: the rules of surfaces.smk use what they leave.


rule train_implicit:
    input:
        unpack(lambda wildcards: plan.training_capture_inputs("train_implicit")),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/multiview/train_implicit/network.safetensors",
        metrics=f"{RESULTS}/multiview/train_implicit/metrics.csv",
        faces=f"{RESULTS}/multiview/train_implicit/faces.png",
        summary=f"{RESULTS}/multiview/train_implicit/summary.json",
    log:
        f"{RESULTS}/logs/train_implicit.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_implicit.tsv"
    conda:
        "../../envs/train_implicit.yaml"
    threads: plan.settings.train_implicit.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(7200),
        gpu=plan.gpus * plan.settings.train_implicit.processes,
    params:
        names=lambda wildcards: plan.training_captures("train_implicit", "train"),
        held_names=lambda wildcards: plan.training_captures(
            "train_implicit", "validation"
        ),
        settings=plan.stage_with_weights("train_implicit", "start"),
        weights=plan.weights_digest("train_implicit", "start"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/multiview/train_implicit/run",
        device=plan.settings.device,
        code=plan.code("train_implicit"),
    message:
        "train the implicit matching network"
    script:
        "../../scripts/train_implicit.py"


rule train_regularizer:
    input:
        unpack(
            lambda wildcards: plan.training_capture_inputs(
                "train_regularizer",
                classical="match_surface/matches.npz",
                implicit="volume.npz",
            )
        ),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/multiview/train_regularizer/network.safetensors",
        metrics=f"{RESULTS}/multiview/train_regularizer/metrics.csv",
        faces=f"{RESULTS}/multiview/train_regularizer/faces.png",
        summary=f"{RESULTS}/multiview/train_regularizer/summary.json",
    log:
        f"{RESULTS}/logs/train_regularizer.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_regularizer.tsv"
    conda:
        "../../envs/train_regularizer.yaml"
    threads: plan.settings.train_regularizer.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(7200),
        gpu=plan.gpus * plan.settings.train_regularizer.processes,
    params:
        names=lambda wildcards: plan.training_captures("train_regularizer", "train"),
        held_names=lambda wildcards: plan.training_captures(
            "train_regularizer", "validation"
        ),
        settings=plan.stage_with_weights("train_regularizer", "start"),
        weights=plan.weights_digest("train_regularizer", "start"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/multiview/train_regularizer/run",
        device=plan.settings.device,
        code=plan.code("train_regularizer"),
    message:
        "train the network that regularises surfaces"
    script:
        "../../scripts/train_regularizer.py"


rule train_mesoscopic:
    input:
        unpack(
            lambda wildcards: plan.training_capture_inputs(
                "train_mesoscopic",
                regularized="regularized.npz",
                textures="texture.png",
                seen="texture_seen.png",
            )
        ),
        scans=lambda wildcards: plan.training_scan_files("train_mesoscopic"),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/multiview/train_mesoscopic/network.safetensors",
        metrics=f"{RESULTS}/multiview/train_mesoscopic/metrics.csv",
        faces=f"{RESULTS}/multiview/train_mesoscopic/faces.png",
        summary=f"{RESULTS}/multiview/train_mesoscopic/summary.json",
    log:
        f"{RESULTS}/logs/train_mesoscopic.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_mesoscopic.tsv"
    conda:
        "../../envs/train_mesoscopic.yaml"
    threads: plan.settings.train_mesoscopic.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(7200),
        gpu=plan.gpus * plan.settings.train_mesoscopic.processes,
    params:
        names=lambda wildcards: plan.training_captures("train_mesoscopic", "train"),
        held_names=lambda wildcards: plan.training_captures(
            "train_mesoscopic", "validation"
        ),
        scans=lambda wildcards: plan.training_scans("train_mesoscopic", "train"),
        held_scans=lambda wildcards: plan.training_scans(
            "train_mesoscopic", "validation"
        ),
        settings=plan.stage_with_weights("train_mesoscopic", "start"),
        weights=plan.weights_digest("train_mesoscopic", "start"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/multiview/train_mesoscopic/run",
        device=plan.settings.device,
        code=plan.code("train_mesoscopic"),
    message:
        "train the network for mesoscopic relief"
    script:
        "../../scripts/train_mesoscopic.py"
