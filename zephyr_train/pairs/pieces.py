"""A batch of pairs without padding, each prompt once: which tokens the backbone reads, and what each may attend to.

A padded batch has each prompt twice, before the chosen and before the rejected reply, and padding at the end. Here

    prompt     p1 p2 … p(n-1)                    looks at itself
    chosen     pn c1 c2 … c(m-1)   → c1 c2 … cm  looks at the prompt, and at itself
    rejected   pn r1 r2 … r(k-1)   → r1 r2 … rk  looks at the prompt, and at itself

are three pieces of one long row. The last prompt token comes before both replies, since it predicts the first token
of each; a reply's last token is not read, since it predicts nothing. So a pair costs n − 1 + m + k tokens instead of
2·max(n + m, n + k), and a position has at most one token to predict. Positions continue from the prompt in both
replies, as if each were the only one after it. Heavy: imports torch.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor


@dataclass
class Pieces:
    """A layout. T tokens are read, N of them predict a token that is scored; "places" are indices into the T."""

    tokens: Tensor  # (T,) of each token read: its place in the flattened padded batch
    positions: Tensor  # (T,) its position in its own row
    predicting: Tensor  # (N,) places: of all chosen replies, then of all rejected ones
    targets: Tensor  # (N,) places in the flattened padded batch of the tokens they predict
    scored: list[int]  # (2 × pairs,) how many of the N belong to each reply
    query_lengths: list[int]  # tokens of each piece, in the order of the T
    key_lengths: list[int]  # how many places each piece attends to: causal, aligned at their end
    keys: Tensor | None  # (sum of key_lengths,) those places, piece by piece; None when each piece sees itself alone
    masks: dict[tuple[int, int, int | None], Tensor | None] = field(default_factory=dict)  # reused across layers

    @cached_property
    def query_ends(self) -> Tensor:
        """Return where pieces begin and end among the T: (pieces + 1,), int32, from 0."""
        return self._ends(self.query_lengths)

    @cached_property
    def key_ends(self) -> Tensor:
        """Return the same among the keys."""
        return self._ends(self.key_lengths)

    def _ends(self, lengths: list[int]) -> Tensor:
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=self.tokens.device)


def pieces_of(attention_mask: Tensor, completion_mask: Tensor, *, share_prompt: bool) -> Pieces:
    """Return the layout of a padded batch: the rows prompt + chosen of all pairs, then those of prompt + rejected.

    Without `share_prompt` each row is one piece. A completion token with nothing before it is not scored, as in TRL.

    Shape: (2 × pairs, length), masks of 0 and 1, padded on the right.
    """
    width, device = attention_mask.shape[1], attention_mask.device
    scored = completion_mask[:, 1:].sum(dim=1).tolist()
    read = [filled - 1 for filled in attention_mask.sum(dim=1).tolist()]
    pairs = len(read) // 2
    tokens: list[int] = []
    positions: list[int] = []
    keys: list[int] = []
    query_lengths: list[int] = []
    key_lengths: list[int] = []
    predicting: list[range] = [range(0)] * len(read)

    def add(row: int, start: int, stop: int, before: range) -> range:
        """Add a piece: positions start..stop of a padded row; return its places."""
        own = range(len(tokens), len(tokens) + stop - start)
        if own:
            tokens.extend(range(row * width + start, row * width + stop))
            positions.extend(range(start, stop))
            keys.extend((*before, *own))
            query_lengths.append(len(own))
            key_lengths.append(len(before) + len(own))
        return own

    for pair in range(pairs):
        rows = (pair, pairs + pair)
        prefix = read[pair] - scored[pair] if share_prompt else 0
        prompt = add(pair, 0, prefix, range(0))
        for row in rows:
            reply = add(row, prefix, read[row], prompt)
            predicting[row] = reply[len(reply) - scored[row] :]
    places = torch.tensor([place for reply in predicting for place in reply], dtype=torch.long, device=device)
    source = torch.tensor(tokens, dtype=torch.long, device=device)
    return Pieces(
        tokens=source,
        positions=torch.tensor(positions, dtype=torch.long, device=device),
        predicting=places,
        targets=source[places] + 1,
        scored=scored,
        query_lengths=query_lengths,
        key_lengths=key_lengths,
        keys=torch.tensor(keys, dtype=torch.long, device=device) if share_prompt else None,
    )
