"""Which algorithms made a result, where IHE's AI Results profile looks for them."""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code

from inference.dicom.codes import MANUFACTURER, PROCESSING_EQUIPMENT
from inference.dicom.identity import ResultIdentity, derive_uid
from inference.domain.measurement import ModelUse


def describe_algorithms(result: Dataset, identity: ResultIdentity) -> None:
    """One Contributing Equipment item per model (IHE AIR 6.5.3.1); a changed model has another Device UID."""
    items = [_item(model, identity) for model in identity.models]
    if items:
        there = list(result.get("ContributingEquipmentSequence", []))
        result.ContributingEquipmentSequence = Sequence([*there, *items])


def _item(model: ModelUse, identity: ResultIdentity) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([_code_item(PROCESSING_EQUIPMENT)])
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model.name
    item.SoftwareVersions = model.version
    item.DeviceUID = derive_uid("habitus-model", model.name, model.sha256)
    item.ContributionDateTime = identity.created.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = f"sha256 {model.sha256}, run on {model.provider}"
    return item


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
