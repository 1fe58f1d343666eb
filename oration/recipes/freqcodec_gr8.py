"""FreqCodec, grouped convolutions: configuration F2, en_libriTTS_16k_gr8nq32ds320. Du et al. 2023, arXiv:2309.07405.

FunCodec over time and frequency: convolutions see magnitude and phase of each bin. 50 frames a second, 32 levels, 0.5
to 16 kbit/s. Trained as `funcodec_en_ds320`, in crops of 2.55 s (freqcodec_mag_phase_16k_n32_600k_step.yaml). The
settings of this released model are not public: that convolutions are in groups and the LSTM is missing is concluded
from its name and its size, 4.50 M in the README. It holds a recording until its end.
"""

from dataclasses import replace

from oration.codecs.funcodec import FREQCODEC_GR8
from oration.recipes.funcodec_en_ds320 import recipe as funcodec_en_ds320

(training,) = funcodec_en_ds320.training
recipe = replace(
    funcodec_en_ds320,
    name="freqcodec_gr8",
    tokenizers=(FREQCODEC_GR8,),
    vocoder=FREQCODEC_GR8.vocoder(),
    training=(replace(training, feed=replace(training.feed, seconds=2.55)),),
    published={"codec": 4.5e6},
)
