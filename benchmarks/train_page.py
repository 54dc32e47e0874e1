"""The words of "Training" in docs/benchmarks.md; `benchmarks/train.py` puts the figures in."""

PAGE = """
Written by `make bench-train` on {date}: {cores} cores, Python {python}, {versions}.
All on one CPU core, fp32, sdpa. Not run: a GPU. `python -m benchmarks.train_gpu` is for a machine that has one.

Pairs have made lengths and random tokens. Given are the median in tokens and the spread of the logarithm below and
above it; "like UltraFeedback" follows 700 published pairs, characters / 4.3 as tokens. "Real" tokens of a pair are
its prompt twice and both replies.

{lengths}

### A step in one process

`python -m benchmarks.train child VARIANT LENGTHS`. Peer: TRL's `DPOTrainer` on rows that are tokens already. Four
steps of {pairs} pairs in one forward pass, a Mistral of 4 layers of 256 and a vocabulary of 4,096, random weights,
activation checkpointing off. CPU-seconds are of `train()` alone: no imports, no building, no reference pass for the
rows that carry its log-probs. Memory is the peak of the whole process. Tokens are those that a backbone is given,
padding included. The reference is a copy of the model; in the other variants its log-probs are in the rows, by the
scorer that the command uses. Before its first step zephyr scores two pairs by its layout and padded: {check} tokens
with no gradient in `shared`, once a run, in the CPU-seconds and not among the tokens.

{training}

The same pairs in each step and the same losses, to a relative {accuracy} (checked): {losses}.

- CPU time of `shared`: {bar}.
- Its memory: {memory_bar}.
- Each lever against the row above it: reference in the rows {cached}, head on scored positions alone {compact}, no
  padding {unpadded}, shared prompt {sharing}.
- TRL's head works on all positions where Triton is missing, as here, and on scored ones alone on a GPU. So that lever
  is none there: against `trl-compact`, which does the same on a CPU, `shared` takes {on_gpu} × the time.
- Sharing reads {sharing_tokens} × the tokens of `separate` and takes {sharing} × its time here: the head scores as many
  positions, a reply that looks at its prompt costs sdpa as much as the whole row's triangle, and the check is in both.
  With one process dealing changes nothing.
- TRL's `padding_free` is not a peer: this version reports that it is unavailable, and pads.

Other lengths, one run each:

{others}

### Critical path of several processes, counted

`python -m benchmarks.pair_counts`. Not run but counted. ZeRO-3 keeps processes in step: a micro-batch lasts as long
as the largest one read at that moment. So a step costs the sum over its micro-batches of the largest rank's tokens.
Mean of {steps} steps of {step_pairs} pairs, {micro_pairs} in a mean micro-batch; the same pairs in each step
whatever the layout. In brackets: relative to mean real tokens per rank.

{counted}

Shared and dealt at 2 ranks: {counted_bar}.
Shared and dealt to padded in order: {counted_ratios} ranks.
On the 700 published pairs, drawn with replacement, the same count gave {published} ranks.

Other lengths, padded in order → shared and dealt:

{other_counted}

Tokens are not time: attention, the head, the optimiser and the network are not in these figures.

### The head alone

Hidden states of eight pairs through a head of {vocabulary} × {hidden}, forward and backward, one run. Fused is TRL's
`ChunkedLogProbFunction` with the outputs that its trainer asks for; whole logits are a matrix product and torch's
cross entropy, which gives no entropy.

{heads}

Time goes by positions. On a CPU, where it has no kernel of its own, the fused head takes {slower} × the time of whole
logits, and the memory of 4,096 positions at once however many there are. All variants above use it.

### The reference pass

32 pairs like UltraFeedback, eight at a time, by a frozen model as above; the padded one has its head score all
positions, as there.

{passes}

### The paper's run: arithmetic, not run

The paper trained on 16 A100 and names 2 to 4 hours; take {paper} hours for {epochs} epochs. Suppose that they went
like padded rows in order, two pairs a process, with the reference in the loop and checkpointed activations, and that
time goes by backbone tokens. Per token: forward 1, backward 2, the forward pass again 1, reference 1. Then the critical
path at 16 ranks ({ratio}) and a cached reference (1/{cached_by}) make {training_hours} hours, one reference pass in
that layout {reference_hours} more: {hours} hours in all. No GPU was used for any of this.
"""
