"""The commands beside those of a study, one file each; `cli` names them and imports them when they are called."""
