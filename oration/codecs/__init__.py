"""Neural codecs: tokenizer and vocoder in one. One file per family, the released configurations by name."""

from oration.codecs.codec import Codec, CodecModel, Made
from oration.codecs.spectral import Bypass, SpectralDecoder, SpectralEncoder, Voice

__all__ = ["Bypass", "Codec", "CodecModel", "Made", "SpectralDecoder", "SpectralEncoder", "Voice"]
