"""What makes a release: experts and the pre-trained scorer."""
