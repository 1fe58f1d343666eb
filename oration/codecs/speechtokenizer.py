"""SpeechTokenizer: EnCodec's nets, whose first level HuBERT teaches what is said. Zhang et al. 2023, arXiv:2308.16692.

The numbers are those of sections 3.1 and 4.1 and, where they are silent, of the package (speechtokenizer 1.0.1). Its
encoder reads backwards too, so that its codes come when a recording ends: it streams, but not live. What it holds until
then lies in a temporary file (4 kB a frame, and five times that while it ends), so that memory does not grow.
"""

from __future__ import annotations

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.nn.quantize import Rvq

SPEECHTOKENIZER = Codec(
    encoder=(SeaNetEncoder(dim=1024, filters=64, causal=False, both_ways=True),),
    quantizer=Rvq(levels=8, size=1024),
    decoder=(SeaNetDecoder(dim=1024, filters=64, causal=False),),
    dim=1024,
    rate=16_000,
    whole=False,
)
"""`fnlp/SpeechTokenizer`, configuration A of the overview: 50 frames a second, 4 kbit/s.

For the first level to be taught, the features of the ninth layer of HuBERT base, 768 wide, are the paper's teacher.
"""
