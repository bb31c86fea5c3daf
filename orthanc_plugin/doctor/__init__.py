"""habitus doctor: what is wrong with an installation, in plain words; looks and changes nothing."""
