"""A dataset on disk to a model on disk: thin over TRL, accelerate, DeepSpeed and peft."""
