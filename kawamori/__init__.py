"""What two or more services share: the words, the wire, the storage; nothing else."""
