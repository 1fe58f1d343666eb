"""Bodies from text language models, through transformers: causal decoders in local folders (OPT, LLaMA, Qwen, ...).

The speech LM keeps its own embeddings, heads and start vector; only what lies between comes from transformers.
"""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from oration.core import BadInput, optional
from oration.lms.families import shrunk
from oration.lms.text_cache import TextPast


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank changes beside frozen weights (Hu et al. 2021, arXiv:2106.09685), through peft."""

    rank: int = 8
    alpha: float = 16.0
    """The change is scaled by alpha / rank."""
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    """Names of the layers changed, such as `q_proj`; empty: those peft knows for the family (queries and values)."""

    def add(self, decoder: nn.Module) -> None:
        """Put them into a decoder, and freeze everything else.

        Raises:
            BadInput: peft knows no layers of this family, or no layer has these names.
        """
        peft = optional("peft", "train", "a body trained by LoRA")
        settings = peft.LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=[*self.targets] or None
        )
        try:
            peft.inject_adapter_in_model(settings, decoder)
        except ValueError as wrong:
            raise BadInput(
                f"LoRA with targets={self.targets} does not fit {type(decoder).__name__} "
                f"({str(wrong).splitlines()[0][:160]}); name some of its linear layers as targets"
            ) from wrong


def merge(module: nn.Module) -> None:
    """Put plain layers in the place of those with low-rank changes, which they then include. For use, not training."""
    for name, child in module.named_children():
        if hasattr(child, "get_delta_weight"):
            layer: Any = child
            plain = deepcopy(layer.base_layer)
            changes = sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters)
            plain.weight = nn.Parameter(plain.weight + changes, requires_grad=False)
            setattr(module, name, plain)
        else:
            merge(child)


@dataclass(frozen=True)
class TextBody:
    """The decoder of a text LM. `build` gives it random weights; `FromText` and checkpoints bring the trained ones."""

    folder: str
    """In transformers' format (config.json, *.safetensors); read by `build` only while `config` is None."""
    config: str | None = None
    """The text of config.json (see `families`), so that no folder is needed to build; `pinned` fills it in."""
    trained: Literal["full", "frozen", "lora"] = "full"
    """What of the decoder training changes. Embeddings, heads and the start vector are the speech LM's, and learn."""
    lora: Lora = field(default_factory=Lora)

    def tiny(self: TextBody | None = None) -> TextBody:
        """Small enough for tests: of the same family, where that is known; random weights."""
        if self is None:
            return TextBody("tiny-llama", shrunk(None))
        known = self.config or (read_config(self.folder) if (Path(self.folder) / "config.json").is_file() else None)
        return replace(self, config=shrunk(known), lora=replace(self.lora, rank=2))

    def pinned(self) -> TextBody:
        """The same body, independent of the folder: what a checkpoint records."""
        return self if self.config is not None else replace(self, config=read_config(self.folder))

    @property
    def dim(self) -> int:
        """Width of what goes in and comes out: that of the text LM's embeddings."""
        fields = json.loads(self.pinned().config or "{}")
        return int(next(fields[name] for name in ("word_embed_proj_dim", "hidden_size", "n_embd") if name in fields))

    def build(self) -> TextBodyModel:
        """The body with random weights.

        Raises:
            BadInput: no such folder, or a model that is no causal decoder with positions and a key-value cache.
        """
        auto = optional("transformers", "train", "a text language model's body")
        fields = json.loads(self.pinned().config or "{}")
        kind = fields.pop("model_type", None)
        try:
            config = auto.AutoConfig.for_model(kind, **fields)
            decoder = auto.AutoModel.from_config(config, dtype=torch.float32)
        except ValueError as wrong:
            raise BadInput(
                f"the text LM in {self.folder} is of the kind {kind!r}, which this version of transformers cannot "
                f"build ({str(wrong).splitlines()[0][:120]}); take another text LM or upgrade transformers"
            ) from wrong
        return TextBodyModel(self, decoder)


def read_config(folder: str) -> str:
    """The text of a model folder's config.json.

    Raises:
        BadInput: there is none, or it is no JSON object.
    """
    path = Path(folder) / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
        if not isinstance(json.loads(text), dict):
            raise ValueError("not an object")
        return text
    except (OSError, ValueError) as wrong:
        raise BadInput(
            f"{folder!r} is no text LM in transformers' format (config.json: {wrong}); "
            "give a folder with config.json and model.safetensors, downloaded beforehand"
        ) from wrong


class TextBodyModel(nn.Module):
    """`TextBody`, built."""

    causal = True

    def __init__(self, body: TextBody, decoder: nn.Module) -> None:
        super().__init__()
        self.folder, self._trained, self._lora = body.folder, body.trained, body.lora
        self.dim: int = 0
        self.context: int | None = getattr(decoder.config, "max_position_embeddings", None)
        """Most positions it knows."""
        self.window: int | None = None
        self.take(decoder)

    def take(self, decoder: Any) -> None:
        """Use this transformers model, and drop its input embeddings: ours stand in front of it.

        Raises:
            BadInput: it lacks what packing and step-by-step generation need.
        """
        accepts = set(inspect.signature(decoder.forward).parameters)
        lacking = {"inputs_embeds", "attention_mask", "position_ids", "past_key_values"} - accepts
        kinds = set(getattr(decoder.config, "layer_types", None) or ())
        if lacking or kinds - {"full_attention", "sliding_attention"}:
            raise BadInput(
                f"the text LM in {self.folder} ({type(decoder).__name__}) cannot be a body: it lacks {sorted(lacking)} "
                f"or has layers other than attention ({sorted(kinds)}); take a decoder-only Transformer"
            )
        table = decoder.get_input_embeddings()
        if isinstance(table, nn.Embedding):
            self.dim = table.embedding_dim
            decoder.set_input_embeddings(nn.Identity())
        if self._trained == "lora":
            self._lora.add(decoder)
        elif self._trained == "frozen":
            decoder.requires_grad_(False)
        self.decoder = decoder

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        if not x.shape[1]:
            return x
        if not bool((segment > 0).any()):
            return self.decoder(inputs_embeds=x, use_cache=False).last_hidden_state
        at = torch.arange(x.shape[1], device=x.device)
        # A padding step looks at the padding before it, so that no step looks nowhere (which gives NaN).
        mask = (segment[:, :, None] == segment[:, None, :]) & (at[:, None] >= at[None])
        return self.decoder(
            inputs_embeds=x,
            position_ids=position,
            attention_mask=self._masks(mask, at[None, :, None] - at[None, None, :], x),
            use_cache=False,
        ).last_hidden_state

    def past(self, n: int, capacity: int) -> TextPast:
        """An empty past; it grows as it is fed."""
        return TextPast.empty(n, next(self.parameters()).device)

    def extend(self, x: Tensor, past: TextPast, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        position = past.length[:, None] + torch.arange(x.shape[1], device=x.device)
        past.held = torch.cat((past.held, position), 1)
        past.length = past.length + x.shape[1]
        back = position[:, :, None] - past.held[:, None, :]
        y = self.decoder(
            inputs_embeds=x,
            position_ids=position,
            attention_mask=self._masks((back >= 0) & (past.held >= 0)[:, None], back, x),
            past_key_values=past.cache,
            use_cache=True,
        ).last_hidden_state
        if padding is not None and bool(torch.any(padding > 0)):
            past.length = past.length - padding
            past.held = past.held.masked_fill(past.held >= past.length[:, None], -1)
        return y

    def _masks(self, mask: Tensor, back: Tensor, x: Tensor) -> Any:
        """bool[B, S, T] and how far back each step looks -> what this decoder takes as its attention mask."""
        config = self.decoder.config
        window = getattr(config, "sliding_window", None)
        kinds = set(
            getattr(config, "layer_types", None) or (["full_attention"] if window is None else ["sliding_attention"])
        )
        near = mask & (back < window) if window is not None else mask
        masks = {"full_attention": self._mask(mask, x), "sliding_attention": self._mask(near, x)}
        return masks if len(kinds) > 1 else masks[kinds.pop()]

    def _mask(self, mask: Tensor, x: Tensor) -> Tensor:
        mask = mask[:, None]
        if self.decoder.config._attn_implementation == "sdpa":
            return mask
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        return torch.zeros(mask.shape, dtype=dtype, device=x.device).masked_fill(~mask, torch.finfo(dtype).min)
