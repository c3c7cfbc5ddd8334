"""The configuration of a run: every key, its default, its check, and words for what is wrong with it."""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from facemill.coarse.export_settings import ExportNowSettings, ExportPersonSettings, ExportSettings
from facemill.coarse.grouping_settings import GroupSettings
from facemill.coarse.image_set_settings import ImageSetSettings
from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.settings import CoarseSettings
from facemill.coarse.training_settings import PackSettings, TrainSettings
from facemill.detail.export_settings import AnimateDetailSettings, ExportDetailSettings
from facemill.detail.settings import ReconstructDetailSettings
from facemill.detail.training_settings import PackDetailSettings, TrainDetailSettings
from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.evaluation.detail_settings import DetailEvaluationSettings
from facemill.evaluation.settings import (
    CompareSettings,
    EvaluationTasks,
    LandmarkErrorSettings,
    MiccSettings,
    NowSettings,
    ScanSettings,
)
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.models.conversion.settings import Bfm09Settings, FacescapeModelSettings, IctFaceKitSettings
from facemill.models.head_builder.settings import HeadSettings
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.capture_settings import (
    CalibrateCaptureSettings,
    CaptureEntry,
    PrepareCaptureSettings,
)
from facemill.multiview.displacing.settings import DisplaceMeshSettings
from facemill.multiview.implicit.settings import PredictImplicitSettings, TrainImplicitSettings
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.map_settings import ExportBaseMeshSettings, UvMapSettings
from facemill.multiview.matching.settings import MatchSurfaceSettings
from facemill.multiview.mesoscopic.settings import PredictMesoscopicSettings, TrainMesoscopicSettings
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings, TrainRegularizerSettings
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    PeopleSet,
    PhotoSet,
    SkinSettings,
    SplitSettings,
)
from facemill.report.settings import CostSettings, ReportSettings
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.settings import PhotoLimits
from facemill.synthesis.settings import (
    ContactSheetSettings,
    SynthesisTasks,
    SynthesizeCapturesSettings,
    SynthesizePhotosSettings,
    SynthesizeScansSettings,
)

_SETS: dict[str, type[BaseModel]] = {"photos": PhotoSet, "people": PeopleSet, "captures": CaptureEntry}

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Configuration(BaseModel):
    """Root of the configuration; a section is named after the rule that reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    run: Name = Field("demo", description="name of the run: results go to results/<run>/")
    seed: int = Field(0, ge=0, description="added to the seeds of the rules: another one changes every draw")
    model: Literal["head", "bfm09", "ict_facekit", "facescape"] = Field(
        "head",
        description="morphable model: head (embedded), or of your files: bfm09, ict_facekit, facescape",
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:<n>"
    )
    photos: dict[Name, PhotoSet] = Field(
        default_factory=lambda: {"portraits": PhotoSet(folder="resources/photos")},
        description="photo sets: name → folder of photos; {} means none",
    )
    people: dict[Name, PeopleSet] = Field(
        default_factory=dict, description="several photos of each of several people: name → where they are"
    )
    captures: dict[Name, CaptureEntry] = Field(
        default_factory=dict, description="one head from several sides: name → where photos and cameras are"
    )
    synthesis: SynthesisTasks = SynthesisTasks()
    evaluation: EvaluationTasks = EvaluationTasks()
    export_limit: int = Field(
        1000, ge=0, description="photo sets of more photos get folders per photo only when asked for by name"
    )
    limits: PhotoLimits = PhotoLimits()
    build_head_model: HeadSettings = HeadSettings()
    convert_bfm09: Bfm09Settings = Bfm09Settings()
    convert_ict_facekit: IctFaceKitSettings = IctFaceKitSettings()
    convert_facescape: FacescapeModelSettings = FacescapeModelSettings()
    index_photos: IndexSettings = IndexSettings()
    detect_faces: DetectSettings = DetectSettings()
    align_faces: AlignSettings = AlignSettings()
    detect_landmarks: LandmarkSettings = LandmarkSettings()
    segment_skin: SkinSettings = SkinSettings()
    split_dataset: SplitSettings = SplitSettings()
    pack_training: PackSettings = PackSettings()
    train_coarse: TrainSettings = TrainSettings()
    train_image_set: ImageSetSettings = ImageSetSettings()
    reconstruct_coarse: CoarseSettings = CoarseSettings()
    export_coarse: ExportSettings = ExportSettings()
    pack_detail: PackDetailSettings = PackDetailSettings()
    train_detail: TrainDetailSettings = TrainDetailSettings()
    reconstruct_detail: ReconstructDetailSettings = ReconstructDetailSettings()
    export_detail: ExportDetailSettings = ExportDetailSettings()
    animate_detail: AnimateDetailSettings = AnimateDetailSettings()
    group_people: GroupSettings = GroupSettings()
    reconstruct_person: PersonSettings = PersonSettings()
    export_person: ExportPersonSettings = ExportPersonSettings()
    calibrate_capture: CalibrateCaptureSettings = CalibrateCaptureSettings()
    prepare_capture: PrepareCaptureSettings = PrepareCaptureSettings()
    triangulate_landmarks: TriangulateSettings = TriangulateSettings()
    fit_base_mesh: FitBaseMeshSettings = FitBaseMeshSettings()
    export_base_mesh: ExportBaseMeshSettings = ExportBaseMeshSettings()
    build_uv_maps: UvMapSettings = UvMapSettings()
    evaluate_base_mesh: BaseMeshEvaluationSettings = BaseMeshEvaluationSettings()
    match_surface: MatchSurfaceSettings = MatchSurfaceSettings()
    train_implicit: TrainImplicitSettings = TrainImplicitSettings()
    predict_implicit: PredictImplicitSettings = PredictImplicitSettings()
    train_regularizer: TrainRegularizerSettings = TrainRegularizerSettings()
    regularize_surface: RegularizeSurfaceSettings = RegularizeSurfaceSettings()
    blend_texture: BlendTextureSettings = BlendTextureSettings()
    train_mesoscopic: TrainMesoscopicSettings = TrainMesoscopicSettings()
    predict_mesoscopic: PredictMesoscopicSettings = PredictMesoscopicSettings()
    displace_mesh: DisplaceMeshSettings = DisplaceMeshSettings()
    evaluate_surface: SurfaceEvaluationSettings = SurfaceEvaluationSettings()
    synthesize_photos: SynthesizePhotosSettings = SynthesizePhotosSettings()
    draw_contact_sheet: ContactSheetSettings = ContactSheetSettings()
    synthesize_captures: SynthesizeCapturesSettings = SynthesizeCapturesSettings()
    synthesize_scans: SynthesizeScansSettings = SynthesizeScansSettings()
    export_now: ExportNowSettings = ExportNowSettings()
    evaluate_now: NowSettings = NowSettings()
    evaluate_scan: ScanSettings = ScanSettings()
    evaluate_landmarks: LandmarkErrorSettings = LandmarkErrorSettings()
    evaluate_micc: MiccSettings = MiccSettings()
    evaluate_detail: DetailEvaluationSettings = DetailEvaluationSettings()
    compare_methods: CompareSettings = CompareSettings()
    write_report: ReportSettings = ReportSettings()
    estimate_costs: CostSettings = CostSettings()


def check_configuration(values: Mapping[str, Any]) -> Configuration:
    """Check what the user wrote; absent keys take their defaults.

    `photos` may be the path of one folder: it becomes one set named after the folder; `people` and `captures`
    likewise.

    Raises:
        ConfigurationError: naming each wrong key, what was expected and found, and the nearest known key.
    """
    values = dict(values)
    for key in _SETS:
        if isinstance(values.get(key), str):
            folder = Path(values[key]).expanduser()
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_-") or key
            values[key] = {name: {"folder": str(folder)}}
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise _readable(error) from None


def _readable(error: ValidationError) -> ConfigurationError:
    """The first problem in full, the others by name."""
    problems = [_describe(problem) for problem in error.errors()]
    key, expected, found, remedy = problems[0]
    if len(problems) > 1:
        remedy += "; then look at " + ", ".join(problem[0] for problem in problems[1:])
    return ConfigurationError(f"configuration key {key} is wrong", expected, found, remedy)


def _describe(problem: Mapping[str, Any]) -> tuple[str, str, str, str]:
    place = [str(part) for part in problem["loc"] if part != "[key]"]
    key = ".".join(place)
    found = json.dumps(problem["input"], default=str, ensure_ascii=False)
    found = found if len(found) <= 120 else found[:117] + "..."
    if problem["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it, or see config/README.md"
        return key, "one of " + ", ".join(known), f"the unknown key {place[-1]}", hint
    if problem["type"] == "missing":
        return key, "a value", "none", f"set {key}; see config/README.md"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return (
        key,
        message,
        found,
        f"correct {key} in the configuration file or on the command line; see config/README.md",
    )


def _known_keys(place: list[str]) -> list[str]:
    """Keys that the section at `place` may have."""
    model: type[BaseModel] = Configuration
    for part in place:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif part in _SETS or model in _SETS.values():
            model = _SETS.get(part, model)
    return sorted(model.model_fields)
