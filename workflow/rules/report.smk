# The page that people open.


rule write_report:
    input:
        faces=[f"{RESULTS}/photos/{name}/faces.csv" for name in plan.sets],
        coarse=[
            file
            for name in plan.exported_sets
            for file in plan.shard_files(
                "coarse/{set}/export_coarse/{shard}.parquet", name
            )
        ],
        evaluations=plan.evaluation_results,
        comparison=plan.comparison,
        training=[
            file for rule in plan.trainings for file in plan.training_results(rule)
        ],
        detail=[file for file in plan.detail_files() if "/export_detail/" in file],
        animated=plan.animated_photos,
        captures=plan.capture_results + plan.surface_results,
        people=[
            file
            for name in plan.people
            for ending in (".parquet", "_people.parquet")
            for file in plan.shard_files(
                f"people/{{set}}/reconstruct_person/{{shard}}{ending}", name
            )
        ],
        exported_people=[
            file
            for name in plan.people
            if "export_person" in plan.people_result(name)
            for file in plan.shard_files(plan.people_result(name), name)
        ],
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report_page.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report/page.tsv"
    conda:
        "../../envs/write_report.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        settings=plan.stage("write_report"),
        run=plan.settings.run,
        results=lambda wildcards, output: str(Path(output.page).parent),
        benchmarks=lambda wildcards, output: str(
            Path(output.page).parent / "benchmarks"
        ),
        configuration=plan.settings.model_dump(mode="json"),
        code=plan.code("write_report"),
    message:
        "write the report of the run {params.run}"
    script:
        "../../scripts/write_report.py"


# What the run is made of; it holds no time, so that equal runs leave equal files.
rule record_provenance:
    input:
        plans=plan.plan_files,
    output:
        provenance=f"{RESULTS}/provenance.json",
    log:
        f"{RESULTS}/logs/record_provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/record_provenance.tsv"
    conda:
        "../../envs/record_provenance.yaml"
    threads: 1
    resources:
        mem_mb=grown(500),
        runtime=grown(10),
    params:
        root=str(ROOT),
        configuration=plan.settings.model_dump(mode="json"),
        files=plan.named_files,
        commit=plan.commit,
        code=plan.code("record_provenance"),
    message:
        "record what the run {RESULTS} is made of"
    script:
        "../../scripts/record_provenance.py"


# The bill, before anything has run or while it runs; asked for by name. Its parameters are the jobs of the run,
# so that it is made again when some of them are done.
rule estimate_costs:
    input:
        costs=plan.measured_costs,
    output:
        plan=f"{RESULTS}/plan.csv",
        costs=f"{RESULTS}/costs.csv",
    log:
        f"{RESULTS}/logs/estimate_costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/estimate_costs.tsv"
    localrule: True
    conda:
        "../../envs/estimate_costs.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        results=lambda wildcards, output: str(Path(output.plan).parent),
        jobs=lambda wildcards: plan.planned_jobs(workflow.rules),
        outputs=lambda wildcards: plan.outputs_of(workflow.rules),
        code=plan.code("estimate_costs"),
    message:
        "estimate what the run {RESULTS} costs"
    script:
        "../../scripts/estimate_costs.py"
