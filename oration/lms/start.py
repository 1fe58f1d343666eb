"""Starts: where a language model's weights come from. A start changes a freshly built model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from oration.core import BadInput, Batch, optional
from oration.lms.heads import key
from oration.lms.text import TextBodyModel

if TYPE_CHECKING:
    from oration.lms.lm import LanguageModel


class Start(Protocol):
    """The promise of a start."""

    def apply(self, model: LanguageModel) -> None:
        """Change the weights of a freshly built model in place."""
        ...

    def tiny(self) -> Start: ...


@dataclass(frozen=True)
class Fresh:
    """Random weights, from torch's global generator."""

    def apply(self, model: LanguageModel) -> None:
        """Nothing to do: modules are born with random weights."""

    @classmethod
    def tiny(cls) -> Fresh:
        """Itself."""
        return cls()


@dataclass(frozen=True)
class FromText:
    """The weights of a text LM, for a model whose body is a `TextBody` of the same sizes.

    Where the model has the text stream, its symbols keep their embeddings and logits; every other symbol starts fresh,
    as wide as the text LM's own. Without it, only the body is kept: TWIST (Hassid et al. 2023, arXiv:2305.13009).
    The start vector is the embedding of the text LM's first symbol.
    """

    folder: str | None = None
    """In transformers' format, with weights as safetensors; nothing else is read. None: the body's folder."""
    streams: tuple[str, ...] = ("text", "user.text")
    """The streams made of the text LM's symbols, in its order."""

    @classmethod
    def tiny(cls) -> Fresh:
        """Small enough for tests: nothing to download."""
        return Fresh()

    @torch.no_grad()
    def apply(self, model: LanguageModel) -> None:
        """Carry the weights over.

        Raises:
            BadInput: no weights in the folder, another body, or a text stream with more symbols than the text LM has.
        """
        body: Any = model.body
        if not isinstance(body, TextBodyModel):
            raise BadInput(f"FromText needs a TextBody, but the body is {type(body).__name__}; change body or start")
        text = self._load(self.folder or body.folder, body.decoder.config)
        table, out = text.get_input_embeddings(), text.get_output_embeddings()
        symbols = torch.arange(table.num_embeddings, device=table.weight.device)
        probe = [self._reference(text, symbols)] if self._places(model) else []
        inward, outward = table(symbols), out.weight.detach().clone()
        body.take(text.base_model)
        self._grow(model, inward, outward)
        first = first_symbol(text.config)
        if first is not None:
            model.first.copy_(inward[first])
        for ids, logits in probe:
            self._verify(model, ids, logits)

    def _load(self, folder: str, config: Any) -> Any:
        """The folder's weights in the decoder that the recipe records, which may turn its positions otherwise."""
        auto = optional("transformers", "train", "a text language model's weights")
        try:
            _check_sizes(auto.AutoConfig.from_pretrained(folder, local_files_only=True), config, folder)
            model = auto.AutoModelForCausalLM.from_pretrained(
                folder,
                config=copy.deepcopy(config),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
        except (OSError, ValueError) as wrong:
            raise BadInput(
                f"the text LM in {folder!r} does not load ({str(wrong).splitlines()[0][:160]}); give a folder in "
                "transformers' format with its weights as safetensors"
            ) from wrong
        return model.eval()

    def _places(self, model: LanguageModel) -> list[tuple[str, str, int, int]]:
        """(row, stream, first token, one past the last) of every text stream."""
        return [
            (row, stream, *vocab.ranges[stream])
            for row, vocab in model.vocabs.items()
            for stream in self.streams
            if stream in vocab.ranges
        ]

    def _grow(self, model: LanguageModel, inward: Tensor, outward: Tensor) -> None:
        head = model.config.head
        tied = getattr(getattr(head, "symbols", head), "tied", False)
        for row, vocab in model.vocabs.items():
            weights: list[tuple[Any, Tensor]] = [(model.embeddings[key(row)].weight, inward)]
            if not tied and row in model.head.rows:
                weights.append((self._outward(model, row), outward))
            for weight, source in weights:
                nn.init.normal_(weight, std=float(source.std()))
                for place, stream, first, last in self._places(model):
                    if last - first > len(source):
                        raise BadInput(
                            f"the stream {stream!r} has {last - first} symbols, but the text LM has {len(source)}; "
                            "use the text tokenizer of its folder"
                        )
                    if place == row:
                        weight[first:last] = source[: last - first]
            embedding: Any = model.embeddings[key(row)]
            embedding.weight[vocab.offset("pad")] = 0

    def _outward(self, model: LanguageModel, row: str) -> nn.Parameter:
        weight: nn.Parameter = model.head.weight(row)
        if any(place == row for place, *_ in self._places(model)) and weight.shape[1] != model.dim:
            raise BadInput(
                f"the text in row {row!r} is predicted by a depth Transformer, which cannot take a text LM's logits; "
                f"name the row in the head's `independent`, or start without these streams (streams={self.streams})"
            )
        return weight

    def _reference(self, text: Any, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """A few symbols and what the text LM expects after each: long[S], float[S, V]."""
        first = first_symbol(text.config) or 0
        ids = torch.cat((symbols[first : first + 1], symbols[:: max(1, len(symbols) // 8)][:8]))
        return ids, text(input_ids=ids[None], use_cache=False).logits[0]

    def _verify(self, model: LanguageModel, ids: Tensor, logits: Tensor) -> None:
        """The grown model must expect the same text; a text LM may scale or cap its logits in ways a head does not."""
        row, _, first, last = self._places(model)[0]
        ids = ids[1:][ids[1:] < last - first] + first
        tokens = torch.stack(
            [ids if name == row else torch.full_like(ids, vocab.offset("pad")) for name, vocab in model.vocabs.items()]
        )
        steps = torch.arange(len(ids), device=ids.device)[None]
        batch = Batch(tokens[None], torch.zeros_like(tokens[None]), torch.zeros_like(steps), steps, model.rows)
        training = model.training
        ours = model.eval()(batch)[row][0, :, first:last]
        model.train(training)
        theirs = logits[: len(ids), : last - first]
        if float((ours - theirs).abs().max()) > 1e-3 * float(theirs.abs().max().clamp(min=1)):
            raise BadInput(
                f"the text LM in {model.body.folder} makes its logits in a way that {type(model.head).__name__} does "
                "not (scaled, capped or biased), so its knowledge of text would be lost; take another text LM"
            )


SIZES = (
    "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "intermediate_size", "ffn_dim", "word_embed_proj_dim", "hidden_act", "activation_function",
)  # fmt: skip
"""Fields of a config.json that weights are bound to. Others (rotary base, window, epsilon) are a recipe's to choose."""


def _check_sizes(theirs: Any, ours: Any, folder: str) -> None:
    """Raises BadInput where the folder's weights do not fit the decoder that the recipe records."""
    for name in SIZES:
        if getattr(theirs, name, None) != getattr(ours, name, None):
            raise BadInput(
                f"the text LM in {folder!r} has {name}={getattr(theirs, name, None)!r}, but the recipe's body records "
                f"{getattr(ours, name, None)!r}; name another folder, or give TextBody that folder's config "
                "(config=None reads it)"
            )


def first_symbol(config: Any) -> int | None:
    """The symbol a text LM's input begins with: its begin-of-sequence symbol, else its end; None if it has neither."""
    for name in ("bos_token_id", "eos_token_id"):
        symbol = getattr(config, name, None)
        symbol = symbol[0] if isinstance(symbol, list) and symbol else symbol
        if isinstance(symbol, int):
            return symbol
    return None
