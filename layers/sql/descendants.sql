-- Every link from a feature to what came of it, and on downwards, as known at a revision.
WITH RECURSIVE known AS (
    SELECT l.ancestor, l.descendant, l.at, l.rev_from
    FROM shikong.lineage AS l
    WHERE l.layer_id = :layer_id AND l.rev_from <= :revision AND l.rev_to > :revision
      AND l.at <= coalesce(CAST(:until AS timestamptz), 'infinity')
), found AS (
    SELECT * FROM known WHERE ancestor = :feature
    UNION
    SELECT known.* FROM known JOIN found ON known.ancestor = found.descendant AND known.at >= found.at
)
SELECT found.ancestor, found.descendant, found.at, found.rev_from, c.id, c.document_id
FROM found
JOIN shikong.revision AS r ON r.layer_id = :layer_id AND r.number = found.rev_from
JOIN shikong.commit AS c ON c.id = r.commit_id
ORDER BY found.at, found.ancestor, found.descendant
