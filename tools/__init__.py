"""What makes a release: experts, the pre-trained scorer, the label reader, and checks of the code and the package."""
