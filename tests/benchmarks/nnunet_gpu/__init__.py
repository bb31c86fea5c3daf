"""The benchmark of nnunet_speed on a GPU: nnunetv2 on torch with AMP, the node on CUDA and on TensorRT (make bench-gpu)."""
