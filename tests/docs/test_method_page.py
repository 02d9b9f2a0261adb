"""docs/method.md names keys and arms that exist."""

import re

from soar_pipeline.config import load, schema

NAMED = re.compile(r"`([a-z_]+(?:\.(?:<name>|[a-z_0-9]+))+)(?::[^`]*)?`")


def test_the_choices_of_the_method_name_keys_that_exist(project):
    page = (project / "docs" / "method.md").read_text(encoding="utf-8")
    named = NAMED.findall(page[page.index("## 11.") :])
    config = schema.config_schema()
    keys = {
        f"{place}.{key}" for place, section in schema.sections(config, config["$defs"]) for key in section["properties"]
    }
    keys |= {f"arms.{name}" for name in load(project / "config" / "paper.yaml").arms}
    others = {"generation_config.json", "checkpoints.csv", "questions.arm"}
    assert len(named) > 15
    assert set(named) - others <= keys
