"""The same nnU-Net, the same file, one fresh process a run: nnunetv2's predictor, MONAI's sliding window, the node (make bench)."""
