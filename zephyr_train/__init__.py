"""From a dataset on disk to a model on disk: a thin layer over TRL, accelerate, DeepSpeed and peft."""
