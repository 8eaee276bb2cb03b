"""What each axis of a sweep does to a measured value: statistics over results, numbers only. Draws nothing."""
