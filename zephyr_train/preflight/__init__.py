"""From what was typed to a job: inputs, options, machine, faults."""
