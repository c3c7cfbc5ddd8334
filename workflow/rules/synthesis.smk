# Photographs, captures and scans of people who do not exist, with exact ground truth.


rule synthesize_photos:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        anthropometry=ROOT / "resources" / "models" / "anthropometry.csv",
    output:
        table=f"{RESULTS}/synthesis/photos/{{name}}/synthesize_photos/{{shard}}.parquet",
        arrays=f"{RESULTS}/synthesis/photos/{{name}}/synthesize_photos/{{shard}}.npz",
        pictures=directory(
            f"{RESULTS}/synthesis/photos/{{name}}/synthesize_photos/{{shard}}"
        ),
    log:
        f"{RESULTS}/logs/synthesize_photos/{{name}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthesize_photos/{{name}}/{{shard}}.tsv"
    conda:
        "../../envs/synthesize_photos.yaml"
    threads: 1
    resources:
        mem_mb=grown(2500),
        runtime=grown(120),
    params:
        settings=plan.stage("synthesize_photos"),
        task=lambda wildcards: plan.synthetic_set("photos", wildcards.name),
        code=plan.code("synthesize_photos"),
    message:
        "take synthetic photographs {wildcards.name}, shard {wildcards.shard}"
    script:
        "../../scripts/synthesize_photos.py"


rule draw_contact_sheet:
    input:
        tables=lambda wildcards: plan.synthetic_files(
            "photos", wildcards.name, "synthesize_photos/{shard}.parquet"
        ),
        pictures=lambda wildcards: plan.synthetic_files(
            "photos", wildcards.name, "synthesize_photos/{shard}"
        ),
    output:
        sheet=report(
            f"{RESULTS}/synthesis/photos/{{name}}/contact_sheet.png",
            caption="../report/contact_sheet.rst",
            category="Synthetic photographs",
        ),
    log:
        f"{RESULTS}/logs/draw_contact_sheet/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_contact_sheet/{{name}}.tsv"
    conda:
        "../../envs/draw_contact_sheet.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        settings=plan.stage("draw_contact_sheet"),
        code=plan.code("draw_contact_sheet"),
    message:
        "draw the contact sheet of {wildcards.name}"
    script:
        "../../scripts/draw_contact_sheet.py"


rule synthesize_captures:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        anthropometry=ROOT / "resources" / "models" / "anthropometry.csv",
    output:
        images=directory(
            f"{RESULTS}/synthesis/captures/{{name}}/synthesize_captures/imgs/{{person}}"
        ),
        meshes=directory(
            f"{RESULTS}/synthesis/captures/{{name}}/synthesize_captures/mesh/{{person}}"
        ),
        truth=directory(
            f"{RESULTS}/synthesis/captures/{{name}}/synthesize_captures/truth/{{person}}"
        ),
    log:
        f"{RESULTS}/logs/synthesize_captures/{{name}}/{{person}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthesize_captures/{{name}}/{{person}}.tsv"
    wildcard_constraints:
        person=r"\d+",
    conda:
        "../../envs/synthesize_captures.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(120),
    params:
        settings=plan.stage("synthesize_captures"),
        task=lambda wildcards: plan.synthetic_set("captures", wildcards.name),
        code=plan.code("synthesize_captures"),
    message:
        "take the captures {wildcards.name} of person {wildcards.person}"
    script:
        "../../scripts/synthesize_captures.py"


rule synthesize_scans:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
        anthropometry=ROOT / "resources" / "models" / "anthropometry.csv",
    output:
        scans=directory(
            f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/scans/{{person}}"
        ),
        landmarks=directory(
            f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/scans_lmks_onlypp/{{person}}"
        ),
        pictures=directory(
            f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/iphone_pictures/{{person}}"
        ),
        boxes=directory(
            f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/detected_face/{{person}}"
        ),
        truth=f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/truth/{{person}}.csv",
    log:
        f"{RESULTS}/logs/synthesize_scans/{{name}}/{{person}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthesize_scans/{{name}}/{{person}}.tsv"
    wildcard_constraints:
        person=r"person_\d+",
    conda:
        "../../envs/synthesize_scans.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=plan.stage("synthesize_scans"),
        task=lambda wildcards: plan.synthetic_set("scans", wildcards.name),
        code=plan.code("synthesize_scans"),
    message:
        "scan and photograph {wildcards.person} for {wildcards.name}"
    script:
        "../../scripts/synthesize_scans.py"


rule list_scans:
    input:
        truth=lambda wildcards: plan.scan_files(wildcards.name, "truth/{person}.csv"),
    output:
        mark=f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/synthetic.json",
        list=f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/imagepathsvalidation.txt",
        truth=f"{RESULTS}/synthesis/scans/{{name}}/synthesize_scans/truth.csv",
    log:
        f"{RESULTS}/logs/list_scans/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/list_scans/{{name}}.tsv"
    conda:
        "../../envs/list_scans.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        dataset=lambda wildcards, output: str(Path(output.mark).parent),
        task=lambda wildcards: plan.synthetic_set("scans", wildcards.name),
        seed=plan.stage("synthesize_scans")["seed"],
        code=plan.code("list_scans"),
    message:
        "list the photographs of {wildcards.name}"
    script:
        "../../scripts/list_scans.py"
