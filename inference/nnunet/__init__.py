"""Networks of nnU-Net v2 run as its own predictor runs them, plane by plane; nothing of torch or nnunetv2."""
