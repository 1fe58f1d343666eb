"""WavTokenizer against the parts it is made of: the same weights give the same codes and the same sound.

Its authors publish no package. Their encoder and codebook are `encodec`'s, their ConvNeXt blocks and inverse STFT are
`vocos`'s, and the convolutions between them are also in transformers' X-codec 2; only their attention is written out.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from references import reference
from safetensors.torch import save_file
from torch import nn

from oration.codecs.released_wavtokenizer import IGNORED, release
from oration.codecs.seanet import SeaNetDecoder
from oration.codecs.wavtokenizer import WAVTOKENIZER_40, WAVTOKENIZER_75
from oration.core import Waveform
from oration.core.released import load_released

AUDIO = ("torchaudio", "torchaudio.functional", "torchaudio.functional.functional")
WIDTH, CONDITION = 64, 2
TINY = replace(
    WAVTOKENIZER_40,
    encoder=(replace(WAVTOKENIZER_40.encoder[0], dim=24, filters=4),),
    quantizer=replace(WAVTOKENIZER_40.quantizer, size=48),
    decoder=(replace(WAVTOKENIZER_40.decoder[0], dim=24, width=WIDTH, inner=40, layers=2),),
    dim=24,
)


class Attention(nn.Module):
    """One head over all frames, as in the authors' decoder/models.py, class AttnBlock."""

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(32, WIDTH, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv1d(WIDTH, WIDTH, 1) for _ in range(4))

    def forward(self, x):
        y = self.norm(x.mT).mT
        query, key, value = (part(y.mT).mT for part in (self.q, self.k, self.v))
        weights = torch.softmax(query @ key.mT / WIDTH**0.5, -1)
        return x + self.proj_out((weights @ value).mT).mT


class Norm(nn.GroupNorm):
    def forward(self, x):
        return super().forward(x.mT).mT


class Reference(nn.Module):
    """The authors' class WavTokenizer, of random weights: names and order of layers are theirs."""

    def __init__(self):
        super().__init__()
        encodec = reference("encodec", *AUDIO)
        vocos = reference("vocos.models", *AUDIO), reference("vocos.heads", *AUDIO)
        xcodec2 = reference("transformers.models.xcodec2.modeling_xcodec2")
        config = reference("transformers.models.xcodec2.configuration_xcodec2").Xcodec2Config(hidden_size=WIDTH)
        features = self.feature_extractor = nn.Module()
        features.encodec = nn.Module()
        features.encodec.encoder = encodec.modules.SEANetEncoder(
            causal=False, norm="weight_norm", dimension=24, n_filters=4, ratios=[6, 5, 5, 4]
        )
        features.encodec.quantizer = encodec.quantization.ResidualVectorQuantizer(dimension=24, n_q=1, bins=48)
        self.backbone = vocos[0].VocosBackbone(24, WIDTH, 40, 2, adanorm_num_embeddings=4)
        blocks = [xcodec2.Xcodec2ResNetBlock(config) for _ in range(4)]
        self.backbone.pos_net = nn.Sequential(*blocks[:2], Attention(), *blocks[2:], Norm(32, WIDTH, eps=1e-6))
        self.head = vocos[1].ISTFTHead(WIDTH, 2400, 600, padding="same")

    def encode(self, wave):
        codec = self.feature_extractor.encodec
        return codec.quantizer.vq.encode(codec.encoder(wave[:, None]))[0]

    def decode(self, codes):
        vectors = self.feature_extractor.encodec.quantizer.vq.decode(codes[None])
        net, condition = self.backbone, torch.tensor([CONDITION])
        x = net.norm(net.pos_net(net.embed(vectors).mT), condition).mT
        for block in net.convnext:
            x = block(x, condition)
        return self.head(net.final_layer_norm(x.mT))


@cache
def models(folder):
    torch.manual_seed(0)
    theirs = Reference().eval()
    with torch.no_grad():
        for name, weight in theirs.state_dict().items():
            if weight.is_floating_point() and "window" not in name:
                weight.add_(torch.randn(weight.shape) * 0.1)
        book = theirs.feature_extractor.encodec.quantizer.vq.layers[0]._codebook
        book.cluster_size.abs_()
        # Codewords where the vectors are, so that many are chosen.
        book.embed.copy_(theirs.feature_extractor.encodec.encoder(_uneven(48 * 600, 0)[None])[0].mT)
        theirs.head.out.weight.mul_(0.2)
    save_file(
        {name: weight.contiguous().clone() for name, weight in theirs.state_dict().items()}, folder / "m.safetensors"
    )
    ours = TINY.build().eval()
    load_released(ours, folder, release(CONDITION), IGNORED)
    return ours, theirs


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return models(tmp_path_factory.mktemp("release"))


def _uneven(length, seed):
    """Noise that is loud and soft by turns, so that codewords lie apart and none is nearest by a rounding error."""
    noise = torch.randn(1, length, generator=torch.Generator().manual_seed(seed))
    return noise * torch.logspace(-2, 0, 12)[torch.arange(length) // 500 * 5 % 12]


@pytest.mark.parity("wavtokenizer", reference="encodec 0.1.1 + vocos 0.1.0 + transformers Xcodec2ResNetBlock")
@torch.no_grad()
@pytest.mark.parametrize("length", [24_000, 30_011])
def test_the_same_codes_and_the_same_sound(both, length):
    ours, theirs = both
    wave = _uneven(length, length)
    codes = theirs.encode(wave)
    assert len(codes.unique()) > 10
    example = ours.encode([Waveform(wave[0].numpy(), 24_000)])[0]
    assert example["codec.0"].ids.tolist() == codes[0].tolist()
    wanted = theirs.decode(codes)[0]
    heard = torch.from_numpy(ours.decode([example])[0].samples)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(heard, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("codec", "millions"), [(WAVTOKENIZER_40, 80.9), (WAVTOKENIZER_75, 80.6)])
def test_the_published_size_has_the_published_parameter_count(codec, millions):
    """Their code counts an EnCodec decoder that nothing uses, and 4 conditions of each norm instead of one."""
    with torch.device("meta"):
        model = codec.build()
        unused = SeaNetDecoder(dim=512, causal=False).build()
    count = sum(p.numel() for p in model.parameters()) + sum(p.numel() for p in unused.parameters())
    count += 3 * 2 * 768 * (1 + 12)
    assert count / 1e6 == pytest.approx(millions, abs=0.05)
