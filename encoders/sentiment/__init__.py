"""What reviews say in words: a small head over the vectors of their texts, supervised by ratings."""
