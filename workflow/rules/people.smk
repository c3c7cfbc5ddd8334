# Several photos of one person: who belongs to whom, and one identity for all.


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
        mem_mb=3000,
        runtime=60,
    params:
        settings=plan.stage_with_weights("group_people", "identity_network"),
        weights=plan.weights_digest("group_people", "identity_network"),
        code=plan.code("group_people"),
    message:
        "group the people of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/group_people.py"
