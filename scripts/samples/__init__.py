"""Sample users and videos, put in over HTTP as the app would do it; needs what the product needs, and ffmpeg."""

from scripts.samples.content import SAMPLE_USERS
from scripts.samples.putting import SamplesRefused, put_samples_in

__all__ = ["SAMPLE_USERS", "SamplesRefused", "put_samples_in"]
