# The morphable model of the run.


# Makes what resources/models/ ships; nothing asks for it, name its output to build the head again.
rule build_head_model:
    input:
        anthropometry=ROOT / "resources" / "models" / "anthropometry.csv",
    output:
        head=f"{RESULTS}/build_head_model/head.npz",
        table=f"{RESULTS}/build_head_model/anthropometry.csv",
    log:
        f"{RESULTS}/logs/build_head_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_head_model/head.tsv"
    conda:
        "../../envs/build_head_model.yaml"
    threads: 2
    resources:
        mem_mb=grown(8000),
        runtime=grown(60),
    params:
        settings=plan.stage("build_head_model"),
        code=plan.code("build_head_model"),
    message:
        "build the embedded head from MakeHuman's CC0 data"
    script:
        "../../scripts/build_head_model.py"


# The converters' input files are those that are there: what is missing the job names, with its source.
rule convert_bfm09:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        files=plan.model_files("bfm09"),
    output:
        model=f"{RESULTS}/convert_bfm09/model.npz",
        head=f"{RESULTS}/convert_bfm09/head.npz",
        front=f"{RESULTS}/convert_bfm09/BFM_model_front.mat",
    log:
        f"{RESULTS}/logs/convert_bfm09.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert_bfm09/model.tsv"
    priority: 100
    conda:
        "../../envs/convert_bfm09.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        folder=plan.model_folder("bfm09"),
        code=plan.code("convert_bfm09"),
    message:
        "check and convert the Basel Face Model 2009"
    script:
        "../../scripts/convert_bfm09.py"


rule convert_ict_facekit:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        files=plan.model_files("ict_facekit"),
    output:
        model=f"{RESULTS}/convert_ict_facekit/model.npz",
    log:
        f"{RESULTS}/logs/convert_ict_facekit.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert_ict_facekit/model.tsv"
    priority: 100
    conda:
        "../../envs/convert_ict_facekit.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        folder=plan.model_folder("ict_facekit"),
        settings=plan.stage("convert_ict_facekit"),
        code=plan.code("convert_ict_facekit"),
    message:
        "check and convert ICT-FaceKit"
    script:
        "../../scripts/convert_ict_facekit.py"


rule convert_facescape:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        files=plan.model_files("facescape"),
    output:
        model=f"{RESULTS}/convert_facescape/model.npz",
    log:
        f"{RESULTS}/logs/convert_facescape.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert_facescape/model.tsv"
    priority: 100
    conda:
        "../../envs/convert_facescape.yaml"
    threads: 1
    resources:
        mem_mb=grown(8000),
        runtime=grown(30),
    params:
        folder=plan.model_folder("facescape"),
        code=plan.code("convert_facescape"),
    message:
        "check and convert FaceScape's bilinear model"
    script:
        "../../scripts/convert_facescape.py"


rule prepare_model:
    input:
        source=plan.model_source,
    output:
        model=f"{RESULTS}/models/{plan.settings.model}.npz",
    log:
        f"{RESULTS}/logs/prepare_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_model/{plan.settings.model}.tsv"
    conda:
        "../../envs/prepare_model.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(10),
    params:
        code=plan.code("prepare_model"),
    message:
        "prepare the morphable model"
    script:
        "../../scripts/prepare_model.py"
