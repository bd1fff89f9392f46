"""Writes an exported split as RecBole and its descendants read it; ids are numbers, so that none holds a separator."""

NAME = "split"


def write_pairs(data, work):
    """Write the pairs of train and valid to a folder in `work` named as the data set."""
    for part in ("train", "valid"):
        frame = getattr(data, part)
        pairs = zip(frame["user"], frame["product"], strict=True)
        _write(work, f"{part}.inter", "user_id:token\titem_id:token", (f"u{u}\ti{i}" for u, i in pairs))


def write_prefixes(data, work, longest):
    """Write a line per pair that has earlier pairs: the user, those (the last `longest`), the product."""
    for part in ("train", "valid"):
        _write(
            work,
            f"{part}.inter",
            "user_id:token\titem_id_list:token_seq\titem_id:token",
            _prefixes(data, part, longest),
        )


def _prefixes(data, part, longest):
    first = data.train.groupby("user").size().reindex(range(len(data.users)), fill_value=0).to_numpy()
    for user, items in enumerate(data.histories()):
        # in a history what was set aside for valid stands last
        places = range(1, first[user]) if part == "train" else range(max(first[user], 1), len(items))
        for at in places:
            before = " ".join(f"i{i}" for i in items[max(0, at - longest) : at])
            yield f"u{user}\t{before}\ti{items[at]}"


def write_graph(data, work):
    """Write the triples, and the link of products to entities; returns the names of the relations, most frequent first.

    A product without triples gets one: else it is dropped with all its pairs. A product that only the graph names is
    no item.
    """
    row = {name: number for number, name in enumerate(data.products)}
    names = {}

    def entity(name):
        return f"p{row[name]}" if name in row else f"e{names.setdefault(name, len(names))}"

    relation = {name: f"r{n}" for n, name in enumerate(data.kg["relation"].value_counts().index)}
    lines = [
        f"{entity(h)}\t{relation[r]}\t{entity(t)}"
        for h, r, t in zip(data.kg["head"], data.kg["relation"], data.kg["tail"], strict=True)
    ]
    there = set(data.kg["head"]) | set(data.kg["tail"])
    lines += [f"p{n}\tin_catalogue\tcatalogue" for n, name in enumerate(data.products) if name not in there]
    _write(work, "kg", "head_id:token\trelation_id:token\ttail_id:token", lines)
    items = sorted({*data.train["product"], *data.valid["product"]})
    _write(work, "link", "item_id:token\tentity_id:token", (f"i{n}\tp{n}" for n in items))
    return list(relation.values())


def _write(work, ending, head, lines):
    (work / NAME).mkdir(exist_ok=True)
    (work / NAME / f"{NAME}.{ending}").write_text("\n".join([head, *lines]) + "\n")
