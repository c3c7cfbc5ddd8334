"""Which rules are killed in which run: small runs that together have every rule of the workflow.

A new rule joins the run that has its inputs: name it in `kills`, after every rule that it needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow import kill_files
from workflow.running import QUICK_FIT, ROOT

RUN = "kill"
RESULTS = f"results/{RUN}"


@dataclass(frozen=True)
class Scene:
    """One run, and the rules that are killed in it.

    kills: in an order in which they can run. shares: of the time that a rule takes, after which it is killed,
    once for each. goals: files that are asked for; none: all that the configuration lists. files: writes
    into the run's folder what the configuration names.
    """

    configuration: dict[str, Any]
    kills: tuple[str, ...]
    goals: tuple[str, ...] = ()
    files: Callable[[Path], object] | None = None
    shares: tuple[float, ...] = (0.7,)


PHOTOS = Scene(
    {
        "run": RUN,
        "photos": {"portraits": {"folder": str(ROOT / "resources" / "photos")}},
        "reconstruct_coarse": QUICK_FIT,
        "animate_detail": {"photos": ["portraits/astronaut"]},
    },
    kills=(
        *("prepare_model", "index_photos", "detect_faces", "align_faces", "detect_landmarks"),
        *("segment_skin", "split_dataset", "tabulate_faces", "reconstruct_coarse", "export_coarse"),
        *("reconstruct_detail", "export_detail", "animate_detail", "write_report", "record_provenance"),
    ),
    shares=(0.4, 0.85),  # at work, and where results are written
)

PEOPLE = Scene(
    {
        "run": RUN,
        "photos": {},
        "people": {"friends": {"folder": "friends"}},
        "reconstruct_coarse": QUICK_FIT,
        "reconstruct_person": {"levels": [{"reduction": 4, "steps": 3}]},
        "export_person": {"texture_size": 128, "overlay_side": 128, "tile_side": 64},
    },
    files=kill_files.write_friends,
    goals=(
        f"{RESULTS}/coarse/friends/ann_0/mesh.glb",
        f"{RESULTS}/detail/friends/ann_0/mesh.glb",
        f"{RESULTS}/people/friends/export_person/0000.parquet",
        f"{RESULTS}/people/friends/ann/person.png",
        f"{RESULTS}/people/friends/export_triplets/0000.txt",
    ),
    kills=(
        *("export_photo", "export_photo_detail", "group_people", "reconstruct_person"),
        # Before export_person, which, killed late, leaves the named person's folder whole: nothing to do.
        *("export_named_person", "export_person", "export_triplets"),
    ),
)

_TRAINING = {
    "train": ["crops"], "validation": ["crops"], "log_interval": 1, "validation_interval": 4,
    "checkpoint_interval": 2, "pictures": 2, "average": 0.8,
}  # fmt: skip
TRAININGS = Scene(
    {
        "run": RUN,
        "photos": {},
        "synthesis": {
            "photos": {
                "crops": {
                    "identities": 2, "photos_per_identity": 2, "pictures": "png", "depth": True,
                    "displacement": True, "surfaces": True, "yaw_limit": 30,
                }
            }
        },
        "reconstruct_coarse": QUICK_FIT,
        "pack_training": {"reduction": 2},
        "train_coarse": {
            **_TRAINING, "batch": 2, "epochs": 4,
            "network": {"backbone": "resnet18", "width": 8, "reduction": 2},
        },
        "train_image_set": {**_TRAINING, "photos": 2, "batch": 4, "epochs": 8, "rendered_share": 0},
        "train_detail": {**_TRAINING, "batch": 2, "epochs": 4},
        "evaluation": {"detail": {"folds": {"dataset": "synthesis.photos.crops"}}},
    },
    goals=("all", f"{RESULTS}/synthesis/photos/crops/contact_sheet.png"),
    kills=(
        *("synthesize_photos", "draw_contact_sheet", "pack_training", "train_coarse", "train_image_set"),
        *("pack_detail", "train_detail", "evaluate_detail"),
    ),
)  # fmt: skip

CAPTURES = Scene(
    {
        "run": RUN,
        "photos": {},
        "synthesis": {
            "captures": {
                "rig": {"first": 44, "views": 4, "width": 216, "height": 324, "level": 0}
            }
        },
        "captures": {
            "rig": {"folder": "synthesis.captures.rig", "surface": False},
            "ball": {"folder": "ball", "surface": False},
        },
        "export_base_mesh": {"texture_size": 256, "tile_height": 180, "geometry_side": 160},
        "build_uv_maps": {"size": 256},
    },
    files=kill_files.write_ball,
    kills=(
        *("synthesize_captures", "calibrate_capture", "prepare_capture", "triangulate_landmarks"),
        *("fit_base_mesh", "export_base_mesh", "build_uv_maps", "evaluate_base_mesh", "tabulate_captures"),
    ),
)  # fmt: skip

_TRAINED = {
    "train": ["rig"], "log_interval": 1, "validation_interval": 2, "checkpoint_interval": 1, "batch": 1,
    "average": 0.8,
}  # fmt: skip
SURFACES = Scene(
    {
        "run": RUN,
        "photos": {},
        "synthesis": {
            "captures": {"rig": {"first": 44, "views": 4, "width": 216, "height": 324, "level": 0}}
        },
        "captures": {"rig": {"folder": "synthesis.captures.rig"}},
        "export_base_mesh": {"texture_size": 128, "tile_height": 90, "geometry_side": 80},
        "build_uv_maps": {"size": 256},
        "predict_implicit": {"network": ""},
        "regularize_surface": {"network": ""},
        "blend_texture": {"size": 512},
        "predict_mesoscopic": {"network": ""},
        "displace_mesh": {"edge_mm": 2.0},
        "train_implicit": {**_TRAINED, "patches": 4, "epochs": 1, "validation_images": 1},
        "train_regularizer": {**_TRAINED, "patches": 4, "epochs": 1, "validation_images": 1},
        "train_mesoscopic": {**_TRAINED, "patch": 64, "stride": 256, "epochs": 0.5, "validation_images": 1},
    },
    kills=(
        *("match_surface", "predict_implicit", "regularize_surface", "blend_texture", "predict_mesoscopic"),
        *("displace_mesh", "evaluate_surface", "train_implicit", "train_regularizer", "train_mesoscopic"),
    ),
)

SCORES = Scene(
    {
        "run": RUN,
        "photos": {},
        "synthesis": {"scans": {"heads": {"identities": 1, "photos_per_identity": 2, "size": 400}}},
        "evaluation": {"now": {"mine": {"dataset": "synthesis.scans.heads", "predictions": "coarse"}}},
        "reconstruct_coarse": QUICK_FIT,
        "evaluate_now": {"heat_maps": 1, "draws": 20},
    },
    kills=("synthesize_scans", "list_scans", "export_now", "evaluate_now", "compare_methods"),
)

FILES = Scene(
    {
        "run": RUN,
        "photos": {},
        "people": {"lfw": {"mgcnet": "lfw", "split": "train"}},
        "evaluation": {
            "scans": {"surface": {"prediction": "faces/found.obj", "scan": "faces/true.obj"}},
            "micc": {"florence": {"cases": "faces/cases.csv"}},
            "shape_error": {"warehouse": {"cases": "faces/cases.csv"}},
            "facescape": {"lab": {"cases": "faces/pictures.csv"}},
            "landmarks": {"wild": {"folder": "wild", "predictions": "coarse"}},
        },
        "reconstruct_coarse": QUICK_FIT,
    },
    files=kill_files.write_measured_files,
    goals=(
        f"{RESULTS}/people/lfw/import_triplets/triplets.csv",
        f"{RESULTS}/evaluation/scans/surface.json",
        f"{RESULTS}/evaluation/micc/florence.json",
        f"{RESULTS}/evaluation/shape_error/warehouse.json",
        f"{RESULTS}/evaluation/facescape/lab.json",
        f"{RESULTS}/evaluation/landmarks/wild.json",
    ),
    kills=(
        *("import_triplets", "evaluate_scan", "evaluate_micc", "evaluate_shape_error", "evaluate_facescape"),
        *("export_landmarks", "evaluate_landmarks"),
    ),
)

MODELS = Scene(
    {
        "run": RUN,
        "photos": {},
        "build_head_model": {
            "people": 50, "complexions": 20, "expression_mixes": 100, "identity_count": 8, "albedo_count": 6
        },
        "convert_bfm09": {"folder": "bfm09"},
        "convert_ict_facekit": {"folder": "ict_facekit", "identity_count": 2},
        "convert_facescape": {"folder": "facescape"},
    },
    files=kill_files.write_models,
    goals=(
        f"{RESULTS}/build_head_model/head.npz",
        f"{RESULTS}/convert_bfm09/model.npz",
        f"{RESULTS}/convert_ict_facekit/model.npz",
        f"{RESULTS}/convert_facescape/model.npz",
        f"{RESULTS}/convert_identity_network/identity.safetensors",
        f"{RESULTS}/plan.csv",
    ),
    kills=(
        *("build_head_model", "convert_bfm09", "convert_ict_facekit", "convert_facescape"),
        *("convert_identity_network", "estimate_costs"),
    ),
)  # fmt: skip

SCENES = {
    "photos": PHOTOS,
    "people": PEOPLE,
    "trainings": TRAININGS,
    "captures": CAPTURES,
    "surfaces": SURFACES,
    "scores": SCORES,
    "files": FILES,
    "models": MODELS,
}
