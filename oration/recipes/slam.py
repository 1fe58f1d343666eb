"""Slam: TWIST from a newer text LM, trained on one GPU in a day. Maimon et al. 2025, arXiv:2502.15814.

Qwen2.5-0.5B with tied embeddings: 358 M parameters without its text symbols. Values: slp-rl/slamkit, config/ and
docs/SLAM.md (context 1024, 17,625 updates of 131,072 units, AdamW 1e-3, clip 0.5, cosine to 5 %, 1 % warm-up).
`--set lms.0.body.folder=PATH` names the text LM's folder; its weights are used with slamkit's rotary base of 10000. The
last stage, DPO on pairs from SpokenSwag (beta 0.1, lr 5e-5), is not here: this toolkit has no preference objective yet.
Data there: LibriSpeech, Libri-Light and spoken TinyStories.
"""

from dataclasses import replace

from oration.lms import Rows, TextBody
from oration.lms.families import QWEN2_5_0_5B_SLAM
from oration.recipes.twist import recipe as twist
from oration.train import AdamW, Cosine, Packed, Steps

recipe = replace(
    twist,
    name="slam",
    lms=(
        replace(
            twist.lms[0], body=TextBody("qwen2.5-0.5b", config=QWEN2_5_0_5B_SLAM), head=Rows(tied=True), context=1024
        ),
    ),
    training=(
        *twist.training[:-1],
        replace(
            twist.training[-1],
            feed=Packed(length=1024, batch=128),
            optimizer=AdamW(lr=1e-3, clip=0.5),
            schedule=Cosine(warmup=176, final=0.05),
            budget=Steps(17_625),
        ),
    ),
    published={"ulm": 358e6},
)
