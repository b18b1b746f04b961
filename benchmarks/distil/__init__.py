"""What a distilled pipeline keeps of its teacher, and how much faster it is."""
