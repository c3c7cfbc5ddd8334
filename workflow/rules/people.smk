# Several photos of one person: who belongs to whom, and one identity for all.


rule import_triplets:
    input:
        list=lambda wildcards: "{}/{}.txt".format(*plan.triplets(wildcards.set)),
    output:
        table=f"{RESULTS}/people/{{set}}/import_triplets/triplets.csv",
        photos=directory(f"{RESULTS}/people/{{set}}/import_triplets/photos"),
    log:
        f"{RESULTS}/logs/import_triplets/{{set}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_triplets/{{set}}.tsv"
    conda:
        "../../envs/import_triplets.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(120),
    params:
        folder=lambda wildcards: plan.triplets(wildcards.set)[0],
        split=lambda wildcards: plan.triplets(wildcards.set)[1],
        code=plan.code("import_triplets"),
    message:
        "unpack the triplets of {wildcards.set}"
    script:
        "../../scripts/import_triplets.py"


rule group_people:
    input:
        table=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        crops=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}",
        model=rules.prepare_model.output.model,
    output:
        table=f"{RESULTS}/people/{{set}}/group_people/{{shard}}.parquet",
        tuples=f"{RESULTS}/people/{{set}}/group_people/{{shard}}_tuples.parquet",
    log:
        f"{RESULTS}/logs/group_people/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/group_people/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/group_people.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=plan.stage_with_weights("group_people", "identity_network"),
        weights=plan.weights_digest("group_people", "identity_network"),
        code=plan.code("group_people"),
    message:
        "group the people of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/group_people.py"


# The tuples as MGCNet's own training files; nothing asks for them, name the list of a shard to get them.
rule export_triplets:
    input:
        table=rules.group_people.output.table,
        tuples=rules.group_people.output.tuples,
        crops=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}",
        masks=f"{RESULTS}/photos/{{set}}/segment_skin/{{shard}}",
    output:
        list=f"{RESULTS}/people/{{set}}/export_triplets/{{shard}}.txt",
        table=f"{RESULTS}/people/{{set}}/export_triplets/{{shard}}.parquet",
        triplets=directory(f"{RESULTS}/people/{{set}}/export_triplets/{{shard}}"),
    log:
        f"{RESULTS}/logs/export_triplets/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_triplets/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/export_triplets.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(60),
    params:
        code=plan.code("export_triplets"),
    message:
        "write triplets of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/export_triplets.py"


rule reconstruct_person:
    input:
        table=rules.group_people.output.table,
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        crops=f"{RESULTS}/photos/{{set}}/align_faces/{{shard}}",
        masks=f"{RESULTS}/photos/{{set}}/segment_skin/{{shard}}",
        model=rules.prepare_model.output.model,
        trained=plan.own_weights("reconstruct_person", "confidence_network")
        + plan.own_weights("reconstruct_coarse", "network"),
    output:
        table=f"{RESULTS}/people/{{set}}/reconstruct_person/{{shard}}.parquet",
        people=f"{RESULTS}/people/{{set}}/reconstruct_person/{{shard}}_people.parquet",
        listing=f"{RESULTS}/people/{{set}}/reconstruct_person/{{shard}}_people.csv",
        arrays=f"{RESULTS}/people/{{set}}/reconstruct_person/{{shard}}.npz",
    log:
        f"{RESULTS}/logs/reconstruct_person/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reconstruct_person/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/reconstruct_person.yaml"
    threads: 1
    resources:
        mem_mb=grown(6000),
        runtime=grown(240),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("reconstruct_person", "confidence_network"),
        coarse=plan.stage_with_weights("reconstruct_coarse", "network"),
        weights=[
            plan.weights_digest("reconstruct_person", "confidence_network"),
            plan.weights_digest("reconstruct_coarse", "network"),
        ],
        model_name=plan.settings.model,
        device=plan.settings.device,
        code=plan.code("reconstruct_person"),
    message:
        "reconstruct the people of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/reconstruct_person.py"


rule export_person:
    input:
        table=rules.reconstruct_person.output.table,
        people=rules.reconstruct_person.output.people,
        arrays=rules.reconstruct_person.output.arrays,
        model=rules.prepare_model.output.model,
        whole=plan.whole_head,
    output:
        table=f"{RESULTS}/people/{{set}}/export_person/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/export_person/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_person/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/export_person.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(240),
    params:
        settings=plan.stage("export_person"),
        photo_folder=lambda wildcards: plan.folder(wildcards.set),
        folder=lambda wildcards: f"{RESULTS}/people/{wildcards.set}",
        code=plan.code("export_person"),
    message:
        "write meshes, textures and pictures of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/export_person.py"


# The same for one person that somebody names; the folder's other files appear with the one asked for.
rule export_named_person:
    input:
        table=lambda wildcards: plan.person_file(
            "people/{set}/reconstruct_person/{shard}.parquet", wildcards
        ),
        people=lambda wildcards: plan.person_file(
            "people/{set}/reconstruct_person/{shard}_people.parquet", wildcards
        ),
        arrays=lambda wildcards: plan.person_file(
            "people/{set}/reconstruct_person/{shard}.npz", wildcards
        ),
        model=rules.prepare_model.output.model,
        whole=plan.whole_head,
    output:
        neutral=f"{RESULTS}/people/{{set}}/{{person}}/neutral.obj",
        now_landmarks=f"{RESULTS}/people/{{set}}/{{person}}/now_landmarks.txt",
        glb=f"{RESULTS}/people/{{set}}/{{person}}/mesh.glb",
        texture=f"{RESULTS}/people/{{set}}/{{person}}/texture.png",
        mask=f"{RESULTS}/people/{{set}}/{{person}}/texture_mask.png",
        photos=f"{RESULTS}/people/{{set}}/{{person}}/photos.csv",
        picture=report(
            f"{RESULTS}/people/{{set}}/{{person}}/person.png",
            caption="../report/person.rst",
            category="People",
            subcategory="{person}",
        ),
    log:
        f"{RESULTS}/logs/export_named_person/{{set}}/{{person}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_named_person/{{set}}/{{person}}.tsv"
    conda:
        "../../envs/export_named_person.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        settings=plan.stage("export_person"),
        photo_folder=lambda wildcards: plan.folder(wildcards.set),
        folder=lambda wildcards: f"{RESULTS}/people/{wildcards.set}",
        code=plan.code("export_named_person"),
    message:
        "write mesh, texture and pictures of {wildcards.person}"
    script:
        "../../scripts/export_named_person.py"


# Checkpoints and logs stay in the folder when the rule is interrupted; the next call goes on from them.
rule train_image_set:
    input:
        train=lambda wildcards: plan.packed_shards("train_image_set", "train"),
        validation=lambda wildcards: plan.packed_shards("train_image_set", "validation"),
        held_out=lambda wildcards: plan.held_out("train_image_set"),
        groups=lambda wildcards: list(plan.people_groups("train_image_set")),
        model=rules.prepare_model.output.model,
        trained=plan.own_weights("train_image_set", "start"),
    output:
        weights=f"{RESULTS}/people/train_image_set/network.safetensors",
        metrics=f"{RESULTS}/people/train_image_set/metrics.csv",
        faces=f"{RESULTS}/people/train_image_set/faces.png",
        summary=f"{RESULTS}/people/train_image_set/summary.json",
    log:
        f"{RESULTS}/logs/train_image_set.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_image_set.tsv"
    conda:
        "../../envs/train_image_set.yaml"
    threads: plan.settings.train_image_set.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(1440),
        gpu=plan.gpus * plan.settings.train_image_set.processes,
    params:
        settings=plan.stage_with_weights("train_image_set", "start", "identity_network"),
        weights=plan.weights_digest("train_image_set", "start", "identity_network"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/people/train_image_set/run",
        people_sets=lambda wildcards: list(
            plan.people_groups("train_image_set").values()
        ),
        device=plan.settings.device,
        code=plan.code("train_image_set"),
    message:
        "train the confidence network"
    script:
        "../../scripts/train_image_set.py"
