"""A seal on what results repeat of patient and study: another name or number is another job, and none can be read back."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence

from inference.dicom.source_images import CARRIED_KEYWORDS

SEALED_KEYWORDS = ("StudyInstanceUID", *CARRIED_KEYWORDS)


class DemographicsSeal:
    """Keyed by the site's secret, so that who has the journal alone cannot try names against it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, images: Sequence[Mapping[str, str]]) -> str:
        """32 hex digits for the header texts of a series' images, in whatever order they come."""
        told = {tuple(image.get(keyword, "") for keyword in SEALED_KEYWORDS) for image in images}
        text = json.dumps(sorted(told)).encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:32]
