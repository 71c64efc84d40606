-- One line for each SQL object of the extension, with everything that a script can decide about it.
WITH member AS (
    SELECT d.classid, d.objid, d.objsubid
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE e.extname = 'sr_event_writer' AND d.deptype = 'e'
        AND d.refclassid = 'pg_extension'::regclass
), relation AS (
    SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
), line (kind, name, definition, acl, comment) AS (
    SELECT 'object', pg_describe_object(classid, objid, objsubid), NULL::text, NULL::aclitem[],
        obj_description(objid, classid::regclass::name)
    FROM member
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid),
        coalesce(p.proacl, acldefault('f', p.proowner)), NULL
    FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
    UNION ALL
    SELECT 'schema', n.nspname, NULL, coalesce(n.nspacl, acldefault('n', n.nspowner)), NULL
    FROM pg_namespace n JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
    UNION ALL
    SELECT 'relation', c.oid::regclass::text,
        concat_ws(' ', c.relkind, c.relpersistence, c.relrowsecurity, c.relreplident,
            c.reloptions::text, CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END),
        coalesce(c.relacl, acldefault(
            (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner)), NULL
    FROM relation c
    UNION ALL
    SELECT 'column ' || row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum),
        c.oid::regclass || ' ' || a.attname,
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
            a.attgenerated, a.attstorage, a.attcollation::regcollation,
            pg_get_expr(d.adbin, d.adrelid)),
        a.attacl, col_description(c.oid, a.attnum)
    FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE NOT a.attisdropped
    UNION ALL
    SELECT 'constraint', c.conrelid::regclass || ' ' || c.conname, pg_get_constraintdef(c.oid),
        NULL, obj_description(c.oid, 'pg_constraint')
    FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid
    UNION ALL
    SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), NULL,
        obj_description(i.indexrelid, 'pg_class')
    FROM pg_index i JOIN relation r ON r.oid = i.indrelid
    UNION ALL
    SELECT 'trigger', t.tgrelid::regclass::text, pg_get_triggerdef(t.oid), NULL, NULL
    FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'dumped', relation::regclass::text, condition, NULL, NULL
    FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS dumped (relation, condition)
    WHERE e.extname = 'sr_event_writer'
)
SELECT concat_ws(' ', kind, name, definition,
    'granted ' || (SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(acl) item),
    'comment ' || comment)
FROM line
