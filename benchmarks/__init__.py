"""Measurements of the package: ``python -m benchmarks --help``, and single questions by module.

Modules by concept:

- what runs: `papers.toml` (the papers' figures), `tables`, `settings`, `estimators`, `data`;
- how a row runs: `runs` (in a process), `child` (in one of its own), `measure`, `extras`;
- what is kept: `results`, `earlier` (files of other forms), `collect`;
- commands: `papers`, `peers` (and `peer_fit`, which runs beside other packages), `speed` (and
  `loops`, `loader`), `scale`, `gpu`, `report` (and `costs`, `plots`, `markdown`);
- single questions, commands of their own: `demo`, `dccs_passes`, `label_free`, `large`, `threads`,
  `statdec_networks`, `thumbnails`, `vgmm_speed`, `vgmm_toy`, `method_pictures`, `image_folder`,
  `data_parallel`.
"""
