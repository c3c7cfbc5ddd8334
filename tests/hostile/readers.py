"""Every reader of the repository, with the valid input that the suite spoils for it."""

from __future__ import annotations

import json

import numpy as np
import torch

from facemill.configuration import Configuration, check_configuration
from facemill.evaluation.histograms import read_histograms
from facemill.evaluation.published import read_published
from facemill.formats import (
    base_meshes,
    benchmarks,
    bfm09_files,
    cameras_json,
    captures,
    checkpoints,
    colmap,
    deep3d,
    dlib_network,
    face_boxes,
    facescape,
    facescape_model,
    facescape_sets,
    facescape_views,
    glb,
    ict_facekit,
    landmarks,
    matlab,
    meshes,
    mgcnet,
    now_predictions,
    now_truth,
    surface_maps,
    true_landmarks,
)
from facemill.models.files import load_model
from facemill.photos.plan import read_manifest
from facemill.report.inputs import read_times
from facemill.report.training_inputs import _courses as read_courses
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.inputs import read_json_object
from facemill.runtime.tables import read_table, write_table
from hostile.inputs import (
    DEEP3D,
    MAT_ARRAYS,
    MESH,
    POINTS,
    RT,
    TABLE,
    WEIGHTS,
    K,
    base_mesh_files,
    colmap_model,
    dlib_file,
    expression_basis,
    face_model,
    facescape_files,
    facescape_parameters,
    file_of,
    histograms_file,
    ict_files,
    json_of,
    mat_of,
    noise,
    now_list,
    now_result,
    npy_of,
    photo_manifest,
    pickled_box,
    prepared_capture,
    published_table,
    read_now_list_of,
    read_now_result_of,
    read_triplet_of,
    text_of,
    triplet_files,
)
from hostile.picture_readers import PICTURE_READERS
from hostile.reader import Reader
from hostile.stage_readers import STAGE_READERS

READERS: list[Reader] = [
    *PICTURE_READERS,
    *STAGE_READERS,
    Reader(
        "landmarks (txt)",
        "text",
        file_of("a.txt", lambda p: landmarks.write_points_text(p, POINTS[:5])),
        lambda place: landmarks.read_points_text(place).shape,  # NaN and infinity are for the caller
    ),
    Reader(
        "landmarks68 (txt)",
        "text",
        file_of("a.txt", lambda p: landmarks.write_points_text(p, POINTS)),
        true_landmarks.read_prediction,
    ),
    Reader(
        "landmarks (pts)",
        "text",
        file_of("a.pts", lambda p: landmarks.write_pts(p, POINTS)),
        landmarks.read_pts,
    ),
    Reader(
        "picked points (pp)",
        "text",
        file_of(
            "a.pp",
            lambda p: landmarks.write_picked_points(
                p, landmarks.PickedPoints(list("abcdefg"), np.ones((7, 3)))
            ),
        ),
        landmarks.read_picked_points,
        may_be_nan=True,
    ),
    Reader(
        "points 3-D (txt)",
        "text",
        file_of("a.txt", lambda p: p.write_text("1 2 3\n4 5 6\n")),
        landmarks.read_points_3d,
    ),
    Reader("points 3-D (npy)", "npy", file_of("a.npy", npy_of(np.ones((7, 3)))), landmarks.read_points_3d),
    Reader(
        "NoW landmarks (npy)",
        "npy",
        file_of("a.npy", npy_of(np.ones((7, 3)))),
        now_predictions.read_prediction_landmarks,
    ),
    Reader(
        "NoW landmarks (txt)",
        "text",
        text_of("a.txt", "1 2 3\n" * 7),
        now_predictions.read_prediction_landmarks,
    ),
    Reader("NoW list", "text", now_list, read_now_list_of),
    Reader(
        "NoW predictions (csv)",
        "text",
        text_of("predictions.csv", "case,status,reason\na/b/c,ok,\na/b/d,no_face,none\n"),
        lambda p: now_predictions.read_prediction_reasons(p.parent),
    ),
    Reader(
        "NoW truth (csv)",
        "text",
        text_of("truth.csv", "subject,challenge,image,yaw\na,b,c,1.5\na,b,d,2\n"),
        lambda p: now_truth.read_truth(p.parent),
    ),
    Reader("NoW face box (npy)", "box", file_of("a.npy", pickled_box), face_boxes.read_face_box),
    Reader(
        "AFLW2000 (mat)",
        "mat",
        file_of("a.mat", mat_of({"pt3d_68": np.ones((3, 68)), "Pose_Para": np.ones((1, 7))})),
        true_landmarks.read_aflw2000,
        may_be_nan=True,
    ),
    Reader("Deep3D (mat)", "mat", file_of("a.mat", mat_of(DEEP3D)), deep3d.read_deep3d),
    Reader(
        "Deep3D TensorFlow (mat)",
        "mat",
        file_of("a.mat", mat_of({"coeff": np.ones((1, 257)), "lm_68p": POINTS})),
        deep3d.read_deep3d,
    ),
    Reader(
        "BFM indices (mat)",
        "mat",
        file_of("a.mat", mat_of({"idx": np.arange(1.0, 21)[:, None], "w": np.ones((4, 3))})),
        lambda p: matlab.read_matlab(p, "BFM", MAT_ARRAYS, "x"),
    ),
    Reader(
        "BFM std_exp.txt",
        "text",
        text_of("std_exp.txt", " ".join(["4539.5"] * 79)),
        bfm09_files._read_deviations,
    ),
    Reader(
        "BFM Exp_Pca.bin",
        "large",
        file_of("Exp_Pca.bin", expression_basis),
        bfm09_files.read_expression_basis,
        0.05,
    ),
    Reader(
        "FaceScape core (npy)",
        "npy",
        facescape_files("core_847_50_52.npy"),
        lambda p: facescape_model.read_facescape_model(p.parent),
        0.2,
    ),
    Reader(
        "FaceScape factors (json)",
        "json",
        facescape_files("factor_847_50_52.json"),
        lambda p: facescape_model.read_facescape_model(p.parent),
        0.2,
    ),
    Reader(
        "FaceScape neutral (obj)",
        "text",
        facescape_files("1_neutral.obj"),
        lambda p: facescape_model.read_facescape_model(p.parent),
        0.2,
    ),
    Reader(
        "ICT-FaceKit neutral (obj)",
        "text",
        ict_files,
        lambda p: ict_facekit.read_ict_facekit(p.parent, 1),
        0.05,
    ),
    Reader(
        "FaceScape params.json",
        "json",
        facescape_parameters,
        lambda p: facescape.read_capture(p.parent, need_photos=False),
    ),
    Reader(
        "FaceScape params.json by view",
        "json",
        facescape_parameters,
        lambda p: facescape_views.read_views(p.parent),
    ),
    Reader(
        "FaceScape id.json",
        "json",
        json_of("id.json", {"train": ["001_01", "002_03"], "eval": []}),
        facescape_sets.read_ids,
    ),
    Reader(
        "FaceScape select_dict.json",
        "json",
        json_of("select.json", {"1": {"1": [0, 3], "2": [4]}}),
        facescape_sets.read_selection,
    ),
    Reader(
        "FaceScape Rt_scale_dict.json",
        "json",
        json_of("scale.json", {"1": {"1": [1.5, RT]}}),
        facescape_sets.read_scales,
    ),
    Reader(
        "cameras.json",
        "json",
        json_of(
            "cameras.json",
            {
                "unit_mm": 1.0,
                "views": [
                    {
                        "file": "a.jpg",
                        "width": 640,
                        "height": 480,
                        "intrinsics": K,
                        "extrinsics": RT,
                        "distortion": [0.1, 0, 0, 0, 0],
                    }
                ],
            },
        ),
        cameras_json.read_cameras,
    ),
    *(
        Reader(
            f"COLMAP {name}",
            "text" if name.endswith("txt") else "binary",
            colmap_model(name.endswith("bin"), name),
            lambda p: colmap.read_colmap(p.parent, p.parent),
        )
        for name in ("cameras.txt", "images.txt", "cameras.bin", "images.bin")
    ),
    Reader("mesh (obj)", "text", file_of("a.obj", lambda p: meshes.write_obj(p, MESH)), meshes.read_mesh),
    Reader(
        "mesh (ascii ply)",
        "text",
        file_of("a.ply", lambda p: meshes.write_ply(p, MESH, binary=False)),
        meshes.read_mesh,
    ),
    Reader(
        "mesh (binary ply)", "text", file_of("a.ply", lambda p: meshes.write_ply(p, MESH)), meshes.read_mesh
    ),
    Reader(
        "mesh (glb)", "glb", file_of("a.glb", lambda p: glb.write_glb(p, MESH, noise(8, 8, 3))), glb.read_glb
    ),
    Reader(
        "safetensors",
        "binary",
        file_of("a.safetensors", lambda p: checkpoints.write_weights(p, WEIGHTS, {"format": "f", "n": "1"})),
        lambda p: checkpoints.read_weights(p, "f"),
    ),
    Reader(
        "checkpoint (pth)",
        "pth",
        file_of("a.pth", lambda p: checkpoints.write_pickled(p, WEIGHTS)),
        checkpoints.read_pickled,
    ),
    Reader(
        "old checkpoint (pth)",
        "pth",
        file_of("a.pth", lambda p: torch.save(WEIGHTS, p, _use_new_zipfile_serialization=False)),
        checkpoints.read_pickled,
    ),
    Reader("dlib network", "binary", file_of("a.dat", dlib_file), dlib_network.read_dlib_network),
    Reader("MGCNet list", "text", text_of("train.txt", "0 p f\n1 q/r g\n2 p h\n"), mgcnet.read_split),
    Reader("MGCNet cameras (txt)", "text", triplet_files("f_cam.txt"), read_triplet_of),
    Reader("MGCNet views (jpg)", "picture", triplet_files("f.jpg"), read_triplet_of, 0.5),
    Reader("face model (npz)", "npz", file_of("m.npz", face_model), load_model, 0.3),
    Reader(
        "arrays (npz)",
        "npz",
        file_of("a.npz", lambda p: save_arrays(p, {"a": np.ones((3, 3)), "b": np.array(["x"])}, True)),
        lambda p: load_arrays(p, ("a",)) and None,
    ),
    Reader(
        "surface map (npz)",
        "npz",
        file_of(
            "a.npz",
            lambda p: surface_maps.write_surface_map(
                p,
                surface_maps.SurfaceMap(
                    16, (1, 2, 3, 4), np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 4), bool)
                ),
            ),
        ),
        surface_maps.read_surface_map,
        may_be_nan=True,
    ),
    *(
        Reader(
            f"base mesh ({name[2:]})",
            name[2:],
            base_mesh_files(name),
            lambda p: base_meshes.read_base_mesh(p.with_suffix(".npz"), p.with_suffix(".json"), "a").mesh,
        )
        for name in ("p.npz", "p.json")
    ),
    Reader(
        "prepared capture (json)",
        "json",
        file_of("capture.json", prepared_capture),
        captures.read_capture_file,
    ),
    Reader("histograms (npz)", "npz", file_of("h.npz", histograms_file), read_histograms),
    Reader("NoW result (json)", "json", now_result("s.json"), read_now_result_of),
    Reader("NoW result (csv)", "text", now_result("c.csv"), read_now_result_of),
    Reader("published figures (csv)", "text", published_table, lambda p: read_published(p.parent)),
    Reader("photo plan (json)", "json", photo_manifest, read_manifest),
    Reader("table (parquet)", "parquet", file_of("a.parquet", lambda p: write_table(p, TABLE)), read_table),
    Reader(
        "benchmark (tsv)",
        "text",
        text_of("b.tsv", "s\tcpu_time\tmax_rss\n1.5\t1.0\t20\n"),
        benchmarks.read_cost,
    ),
    Reader(
        "benchmarks of a run (tsv)",
        "text",
        file_of("rule/set/b.tsv", lambda p: p.write_text("s\tcpu_time\tmax_rss\n1.5\t1.0\t20\n")),
        lambda p: read_times(p.parents[2]),
    ),
    Reader(
        "training course (csv)",
        "text",
        text_of("metrics.csv", "step,kind,epoch,loss\n1,train,0.1,2.5\n2,validation,0.2,2\n"),
        read_courses,
    ),
    Reader(
        "configuration",
        "json",
        json_of("config.json", json.loads(Configuration().model_dump_json())),
        lambda p: check_configuration(read_json_object(p, "a configuration", "x")) and None,
        names_file=False,
    ),
]
