"""Measurements of the package: ``python -m benchmarks --help``, and single questions by module.

Modules by concept:

- what runs: `papers.toml` (the papers' figures), `tables`, `settings`, `estimators`, `data`;
- how a row runs: `runs` (in a process), `child` (in one of its own), `measure`, `extras`;
- what is kept: `results`, `earlier` (files of other forms), `collect`;
- commands: `papers`, `peers` (and `peer_fit`, which runs beside other packages), `speed` (and
  `loops`, `loader`), `scale`, `gpu`, `report` (and `costs`, `plots`);
- single questions, commands of their own: `statdec_table` and `statdec_targets` (all settings from
  one autoencoder), `statdec_networks`, `vgmm_speed`, `vgmm_toy`, `image_folder`.
"""
