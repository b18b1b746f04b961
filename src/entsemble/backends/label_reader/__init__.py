"""The label reader: one small encoder that reads labels and text together and scores every span for every label."""
