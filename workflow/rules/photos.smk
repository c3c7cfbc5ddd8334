# Photo sets, shard by shard: find, detect, align, landmarks, skin. A photo that fails keeps its row.


rule index_photos:
    input:
        manifest=f"{RESULTS}/photos/{{set}}/plan/{{shard}}.json",
        pictures=lambda wildcards: plan.pictures_made_by(wildcards.set),
    output:
        table=f"{RESULTS}/photos/{{set}}/index_photos/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/index_photos/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/index_photos/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/index_photos.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    params:
        folder=lambda wildcards: plan.folder(wildcards.set),
        settings=plan.stage("index_photos"),
        limits=plan.stage("limits"),
        code=plan.code("index_photos"),
    message:
        "index photos of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/index_photos.py"


rule detect_faces:
    input:
        table=f"{RESULTS}/photos/{{set}}/index_photos/{{shard}}.parquet",
    output:
        table=f"{RESULTS}/photos/{{set}}/detect_faces/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/detect_faces/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/detect_faces/{{set}}/{{shard}}.tsv"
    # Most of a shard's work: when all of it is begun early, no worker waits at the end for another's.
    priority: 1
    conda:
        "../../envs/detect_faces.yaml"
    threads: 1
    resources:
        mem_mb=grown(plan.photo_memory),
        runtime=grown(60),
    params:
        folder=lambda wildcards: plan.folder(wildcards.set),
        settings=plan.stage("detect_faces"),
        limits=plan.stage("limits"),
        code=plan.code("detect_faces"),
    message:
        "detect faces of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/detect_faces.py"


rule align_faces:
    input:
        table=f"{RESULTS}/photos/{{set}}/detect_faces/{{shard}}.parquet",
    output:
        table=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}.parquet",
        crops=directory(f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}"),
    log:
        f"{RESULTS}/logs/align_faces/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/align_faces/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/align_faces.yaml"
    threads: 1
    resources:
        mem_mb=grown(plan.photo_memory),
        runtime=grown(60),
    params:
        folder=lambda wildcards: plan.folder(wildcards.set),
        settings=plan.stage("align_faces"),
        limits=plan.stage("limits"),
        code=plan.code("align_faces"),
    message:
        "align faces of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/align_faces.py"


rule detect_landmarks:
    input:
        table=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}.parquet",
        crops=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}",
    output:
        table=f"{RESULTS}/photos/{{set}}/detect_landmarks/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/detect_landmarks/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/detect_landmarks/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/detect_landmarks.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=plan.stage("detect_landmarks"),
        limits=plan.stage("limits"),
        code=plan.code("detect_landmarks"),
    message:
        "detect landmarks of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/detect_landmarks.py"


rule segment_skin:
    input:
        table=f"{RESULTS}/photos/{{set}}/detect_landmarks/{{shard}}.parquet",
        crops=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}",
    output:
        table=f"{RESULTS}/photos/{{set}}/segment_skin/{{shard}}.parquet",
        masks=directory(f"{RESULTS}/photos/{{set}}/segment_skin/{{shard}}"),
    log:
        f"{RESULTS}/logs/segment_skin/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/segment_skin/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/segment_skin.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    params:
        settings=plan.stage("segment_skin"),
        limits=plan.stage("limits"),
        code=plan.code("segment_skin"),
    message:
        "segment skin of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/segment_skin.py"


rule split_dataset:
    input:
        tables=lambda wildcards: plan.shard_files(
            "photos/{set}/segment_skin/{shard}.parquet", wildcards.set
        ),
    output:
        train=f"{RESULTS}/photos/{{set}}/split_dataset/train.csv",
        val=f"{RESULTS}/photos/{{set}}/split_dataset/val.csv",
    log:
        f"{RESULTS}/logs/split_dataset/{{set}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/split_dataset/{{set}}.tsv"
    conda:
        "../../envs/split_dataset.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        settings=plan.stage("split_dataset"),
        code=plan.code("split_dataset"),
    message:
        "split {wildcards.set} into training and validation"
    script:
        "../../scripts/split_dataset.py"


rule tabulate_faces:
    input:
        tables=lambda wildcards: plan.shard_files(
            "photos/{set}/segment_skin/{shard}.parquet", wildcards.set
        ),
    output:
        faces=report(
            f"{RESULTS}/photos/{{set}}/faces.csv",
            caption="../report/faces_table.rst",
            category="Photos",
        ),
    log:
        f"{RESULTS}/logs/tabulate_faces/{{set}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_faces/{{set}}.tsv"
    conda:
        "../../envs/tabulate_faces.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        code=plan.code("tabulate_faces"),
    message:
        "tabulate the photos of {wildcards.set}"
    script:
        "../../scripts/tabulate_faces.py"
