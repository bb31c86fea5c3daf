"""Paints CT from anatomy label maps: what the maps lack (hull, fat, wall, discs) is filled in first."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.volume import Affine, Volume, canonical, position_mm
from training.synthetic.anatomy import TRAINING, Anatomy, Ranges, sample_anatomy
from training.synthetic.labels import Labels, Tissue
from training.synthetic.map_names import tissue_of
from training.synthetic.painting import Acquisition, paint, sample_acquisition
from training.synthetic.torso import Grid

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float32]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MARGIN_MM = 48.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedMaps:
    """A CT painted from label maps."""

    volume: Volume
    tissue_labels: Labels
    acquisition: Acquisition
    l3_z_mm: float | None
    """Patient z of the middle of the L3 body, where the maps have one."""
    l3_extent_mm: tuple[float, float] | None


def read_nifti(path: Path) -> Volume:
    """Any NIfTI image in canonical index order."""
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
    except ImportError as problem:
        raise ConfigurationInvalid(
            found="an environment without nibabel",
            wanted="nibabel, to read NIfTI",
            advice="Run make setup-dev.",
        ) from problem
    try:
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)
    except (OSError, ImageFileError) as problem:
        raise UnreadableInput(
            found=f"a file that is no NIfTI image ({path.name})",
            wanted="a readable .nii or .nii.gz",
            advice="Check the path.",
        ) from problem
    affine: Affine = RAS_TO_LPS @ image.affine
    order = np.argmax(np.abs(affine[:3, :3]), axis=0)
    axes = [int(np.flatnonzero(order == axis)[0]) for axis in (2, 1, 0)]
    arranged = affine.copy()
    arranged[:, :3] = affine[:, axes]
    return canonical(Volume(hu=voxels.transpose(axes).astype(np.float32), affine_lps=arranged))


def _read_names(path: Path) -> dict[int, str]:
    """Label number to class name."""
    try:
        return {int(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as problem:
        raise UnreadableInput(
            found=f"no table of names in {path.name}",
            wanted='a JSON object such as {"1": "liver"}',
            advice="Check the path, and that the table belongs to the label map.",
        ) from problem


def case_from_maps(
    labels_path: Path,
    names_path: Path,
    *,
    seed: int,
    ranges: Ranges = TRAINING,
    acquisition: Acquisition | None = None,
) -> PaintedMaps:
    """One painting of a label map on the map's own, wider grid; fat, wall and scan vary with the seed."""
    numbered = _padded(read_nifti(labels_path))
    names = _read_names(names_path)
    rng = np.random.default_rng((seed, 3))
    anatomy = sample_anatomy(rng, ranges)
    scan = sample_acquisition(rng, ranges) if acquisition is None else acquisition
    codes = numbered.hu.astype(np.int32)
    table = np.zeros(max(max(names), int(codes.max())) + 1, np.uint8)
    for number, name in names.items():
        table[number] = tissue_of(name)
    labels = fill(table[codes], numbered.spacing_mm, anatomy, rng)
    grid = Grid(shape=numbered.shape, spacing_mm=numbered.spacing_mm, origin_lps_mm=(0.0, 0.0, 0.0))
    hu = paint(labels, None, scan, grid, rng)
    z, extent = _l3(codes, names, numbered.affine_lps)
    return PaintedMaps(
        volume=Volume(hu=hu, affine_lps=numbered.affine_lps),
        tissue_labels=labels,
        acquisition=scan,
        l3_z_mm=z,
        l3_extent_mm=extent,
    )


def _padded(numbered: Volume) -> Volume:
    """Room in the plane for the fat and skin that maps lack."""
    rows, columns = (int(np.ceil(MARGIN_MM / step)) for step in numbered.spacing_mm[1:])
    affine = numbered.affine_lps.copy()
    affine[:3, 3] = position_mm(affine, (0, -rows, -columns))
    widths = ((0, 0), (rows, rows), (columns, columns))
    return Volume(hu=np.asarray(np.pad(numbered.hu, widths), np.float32), affine_lps=affine)


def _l3(
    codes: npt.NDArray[np.int32], names: Mapping[int, str], affine_lps: Affine
) -> tuple[float | None, tuple[float, float] | None]:
    """Middle and extent of the L3 body: the part of the vertebra in front of its canal."""
    numbers = [number for number, name in names.items() if name == "vertebrae_L3"]
    slices, rows, _ = np.nonzero(np.isin(codes, numbers))
    if not len(slices) or slices.min() == 0 or slices.max() == codes.shape[0] - 1:
        return None, None
    body = slices[rows < np.percentile(rows, 35)]
    low, high = np.percentile(body, [2, 98])
    step, start = affine_lps[2, 0], affine_lps[2, 3]
    return float(start + step * body.mean()), (
        float(start + step * (low - 0.5)),
        float(start + step * (high + 0.5)),
    )


def fill(
    known: Labels,
    spacing_mm: tuple[float, float, float],
    anatomy: Anatomy,
    rng: np.random.Generator,
) -> Labels:
    """Known tissues, with layers round them and structure inside them."""
    distance, outside = _hull_distance_mm(known, spacing_mm)
    layers = _layers(distance, outside, known, anatomy, spacing_mm)
    labels = np.where(known > 0, known, layers).astype(np.uint8)
    _discs(labels, known, spacing_mm)
    _back_and_chest(labels, known, distance, spacing_mm)
    _quadratus(labels, known, spacing_mm)
    _depths(labels, known, spacing_mm, anatomy, rng)
    return labels


def _hull_distance_mm(known: Labels, spacing_mm: tuple[float, float, float]) -> tuple[Array, Array]:
    """Signed distance to the convex hull of the trunk, and the direction from its middle."""
    trunk = (known > 0) & (known != Tissue.FEMUR_TRABECULAR)
    distance = np.full(known.shape, 60.0, np.float32)
    turn = np.zeros(known.shape, np.float32)
    rows, columns = np.indices(known.shape[1:], dtype=np.float32)
    for k in range(known.shape[0]):
        points = np.argwhere(trunk[k])
        if len(points) < 50:
            continue
        hull = ConvexHull(points)
        image = Image.new("1", known.shape[:0:-1])
        corners = [(float(c), float(r)) for r, c in points[hull.vertices]]
        ImageDraw.Draw(image).polygon(corners, fill=1, outline=1)
        mask = np.asarray(image)
        steps = spacing_mm[1:]
        distance[k] = ndimage.distance_transform_edt(~mask, sampling=steps)
        distance[k] -= ndimage.distance_transform_edt(mask, sampling=steps)
        middle = points.mean(0)
        turn[k] = np.degrees(
            np.arctan2((columns - middle[1]) * steps[1], -(rows - middle[0]) * steps[0])
        )
    return ndimage.gaussian_filter(distance, np.array([7.0, 3.0, 3.0]) / spacing_mm), turn


def _layers(
    distance: Array,
    turn: Array,
    known: Labels,
    anatomy: Anatomy,
    spacing_mm: tuple[float, float, float],
) -> Labels:
    """Visceral fat, muscle wall, subcutaneous fat and skin by distance from the hull."""
    side = np.abs(turn)
    push = max(anatomy.vat_mm, 0.0) * 0.6 * np.clip((130 - side) / 60, 0, 1)
    lateral = np.clip((side - 38) / 20, 0, 1) * np.clip((140 - side) / 25, 0, 1)
    wall = (4 + 12 * lateral + 5 * (side < 35) * (side > 6)) * anatomy.muscle_scale
    fat = anatomy.sat_mm * np.interp(
        side.ravel(),
        [0, 90, 140, 180],
        [anatomy.sat_front, anatomy.sat_side, anatomy.sat_back, 0.6 * anatomy.sat_back],
    ).reshape(side.shape)
    fat = np.maximum(ndimage.gaussian_filter(fat, (0, 8 / spacing_mm[1], 8 / spacing_mm[2])), 3.0)
    labels = np.zeros(known.shape, np.uint8)
    blur = (0, 5 / spacing_mm[1], 5 / spacing_mm[2])
    outer = ndimage.gaussian_filter(push + wall, blur) + fat
    labels[distance < outer + anatomy.skin_mm] = Tissue.SKIN
    labels[distance < outer] = Tissue.SUBCUTANEOUS_FAT
    ring = distance < push + wall
    labels[ring] = Tissue.OBLIQUE
    labels[ring & (side < 35)] = Tissue.RECTUS
    labels[ring & (side > 128)] = Tissue.WALL_MUSCLE
    labels[distance < push] = Tissue.VISCERAL_FAT
    return labels


def _discs(labels: Labels, known: Labels, spacing_mm: tuple[float, float, float]) -> None:
    """The gaps between vertebral bodies in front of the canal."""
    bone = known == Tissue.VERTEBRA_TRABECULAR
    reach = max(2, round(8.0 / spacing_mm[0]))
    above, below = np.zeros_like(bone), np.zeros_like(bone)
    for step in range(1, reach + 1):
        above[:-step] |= bone[step:]
        below[step:] |= bone[:-step]
    rows = np.arange(bone.shape[1])[None, :, None]
    canal = known == Tissue.CANAL
    first = np.where(canal.any(axis=(1, 2)), canal.any(axis=2).argmax(axis=1), 0)
    gap = above & below & (known == 0) & (rows < first[:, None, None] - 1)
    labels[ndimage.binary_opening(gap, iterations=1)] = Tissue.DISC


def _back_and_chest(
    labels: Labels, known: Labels, distance: Array, spacing_mm: tuple[float, float, float]
) -> None:
    """Fat between the back muscles, muscle between the ribs, fat of the mediastinum."""
    rows = np.arange(known.shape[1])[None, :, None]
    fat = labels == Tissue.VISCERAL_FAT
    erector = known == Tissue.ERECTOR_SPINAE
    front = np.where(erector.any(axis=(1, 2)), erector.any(axis=2).argmax(axis=1), 10**6)
    labels[fat & (rows > front[:, None, None] + 4 / spacing_mm[1])] = Tissue.INTERMUSCULAR_FAT
    gluteal = np.isin(known, (Tissue.GLUTEAL, Tissue.PELVIS_TRABECULAR))
    near_hip = ndimage.distance_transform_edt(~gluteal, sampling=spacing_mm) < 12
    labels[(labels == Tissue.VISCERAL_FAT) & near_hip & (distance > -25)] = Tissue.INTERMUSCULAR_FAT
    rib = np.isin(known, (Tissue.RIB_TRABECULAR, Tissue.COSTAL_CARTILAGE))
    near_rib = ndimage.distance_transform_edt(~rib, sampling=spacing_mm) < 20
    labels[(labels == Tissue.VISCERAL_FAT) & near_rib & (distance > -9)] = Tissue.WALL_MUSCLE
    lung = (known == Tissue.LUNG).sum(axis=(1, 2)) * spacing_mm[1] * spacing_mm[2] > 12_000
    labels[(labels == Tissue.VISCERAL_FAT) & lung[:, None, None]] = Tissue.MEDIASTINAL_FAT


def _quadratus(labels: Labels, known: Labels, spacing_mm: tuple[float, float, float]) -> None:
    """A flat ellipse in front of the outer edge of each erector spinae, where the psoas is."""
    middle = known.shape[2] / 2
    rows, columns = np.indices(known.shape[1:], dtype=np.float32)
    for k in np.flatnonzero((known == Tissue.PSOAS).any(axis=(1, 2))):
        if (known[k] == Tissue.PELVIS_TRABECULAR).sum() > 40:
            continue
        spine = np.nonzero(known[k] == Tissue.VERTEBRA_TRABECULAR)[1]
        middle = float(spine.mean()) if len(spine) else middle
        for sign in (-1.0, 1.0):
            r, c = np.nonzero((known[k] == Tissue.ERECTOR_SPINAE) & ((columns - middle) * sign > 0))
            if len(r) < 30:
                continue
            edge = float(np.percentile(c * sign, 92)) * sign
            top = float(r[np.abs(c - edge) < 6].min())
            dx = (columns - edge + sign * 4 / spacing_mm[2]) * spacing_mm[2]
            dy = (rows - top + 5 / spacing_mm[1]) * spacing_mm[1]
            turned = np.radians(25) * sign
            u = dx * np.cos(turned) + dy * np.sin(turned)
            v = dy * np.cos(turned) - dx * np.sin(turned)
            inside = (u / 16) ** 2 + (v / 7) ** 2 < 1
            free = np.isin(labels[k], (Tissue.VISCERAL_FAT, Tissue.INTERMUSCULAR_FAT))
            labels[k][inside & free] = Tissue.QUADRATUS_LUMBORUM


def _depths(
    labels: Labels,
    known: Labels,
    spacing_mm: tuple[float, float, float],
    anatomy: Anatomy,
    rng: np.random.Generator,
) -> None:
    """Cortical bone, renal medulla, bowel and stomach content with gas in front."""
    bowel = Tissue.FAECES if rng.random() < 0.5 else Tissue.BOWEL_CONTENT
    inner = (
        (Tissue.KIDNEY_RIGHT, 8.0, Tissue.KIDNEY_RIGHT_MEDULLA),
        (Tissue.KIDNEY_LEFT, 8.0, Tissue.KIDNEY_LEFT_MEDULLA),
        (Tissue.BOWEL_WALL, 2.6, bowel),
        (Tissue.STOMACH_WALL, 4.0, Tissue.STOMACH_CONTENT),
    )
    for tissue, depth_mm, content in inner:
        deep = _depth_mm(known == tissue, spacing_mm) > depth_mm
        labels[deep] = content
        if tissue in (Tissue.BOWEL_WALL, Tissue.STOMACH_WALL):
            _gas(labels, deep, anatomy.bowel_gas)
    for bone, cortex in (
        (Tissue.VERTEBRA_TRABECULAR, Tissue.VERTEBRA_CORTICAL),
        (Tissue.RIB_TRABECULAR, Tissue.RIB_CORTICAL),
        (Tissue.PELVIS_TRABECULAR, Tissue.PELVIS_CORTICAL),
        (Tissue.FEMUR_TRABECULAR, Tissue.FEMUR_CORTICAL),
    ):
        mask = known == bone
        labels[mask & (_depth_mm(mask, spacing_mm) <= 2.0)] = cortex


def _depth_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> Array:
    """How far a voxel's centre is from the surface, which lies half a voxel outside the mask."""
    depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    return np.asarray(depth - 0.5 * min(spacing_mm), np.float32)


def _gas(labels: Labels, lumen: Mask, share: float) -> None:
    """The front part of every lumen, by share of its depth in each slice."""
    parts, _ = ndimage.label(lumen)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        rows = np.arange(box[1].start, box[1].stop)
        level = box[1].start + share * 0.4 * (box[1].stop - box[1].start)
        gas = (parts[box] == number) & (rows[None, :, None] < level)
        wanted = (
            Tissue.STOMACH_GAS
            if (labels[box][gas] == Tissue.STOMACH_CONTENT).any()
            else Tissue.BOWEL_GAS
        )
        labels[box][gas] = wanted
