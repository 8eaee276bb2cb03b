"""What an edit changed, and how well it kept the rest: measured from the pictures alone. Knows no sweep."""
