"""The HTTP contract: request bodies, documented answers, the answers that are built, errors."""
