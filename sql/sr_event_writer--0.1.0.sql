-- SQL objects of sr_event_writer 0.1.0.
--
-- Functions are created in the schema that CREATE EXTENSION names (by default the first of
-- search_path). Tables and the view are in a schema with the fixed name sr_event_writer, so that
-- the worker finds them wherever the functions are.
--
-- Functions of LANGUAGE c are implemented in src/status and src/control; the symbol is the name of
-- the Rust function followed by `_wrapper`.

\echo Use "CREATE EXTENSION sr_event_writer" to load this file. \quit

-- Rows are passed to the server as UTF-8 without another check of their encoding.
DO $$
BEGIN
    IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'sr_event_writer needs a database with encoding UTF8, not %',
                pg_catalog.current_setting('server_encoding')
            USING ERRCODE = 'feature_not_supported';
    END IF;
END
$$;


-- == Tables =======================================================================================

CREATE SCHEMA sr_event_writer;
COMMENT ON SCHEMA sr_event_writer IS
    'Position, dead letters and status of the sr_event_writer extension';

-- Requests of operators. The workers read them once a second, and immediately when
-- sr_event_writer_pause() or _resume() commits. A pipeline without a row is not paused.
CREATE TABLE sr_event_writer.pipeline_control (
    pipeline    text        NOT NULL PRIMARY KEY,
    paused      boolean     NOT NULL DEFAULT false,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    changed_by  text        NOT NULL DEFAULT session_user,
    seek_sequence  bigint CHECK (seek_sequence > 0),
    seek_time      timestamptz,
    seek_force     boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE sr_event_writer.pipeline_control IS
    'Paused pipelines and pending seeks; written by sr_event_writer_pause(), _resume(), _seek()';
COMMENT ON COLUMN sr_event_writer.pipeline_control.seek_sequence IS
    'Stream sequence to continue with when the pipeline resumes; NULL once that is done';
COMMENT ON COLUMN sr_event_writer.pipeline_control.seek_time IS
    'Time to continue with: that of the first message published then or later';
COMMENT ON COLUMN sr_event_writer.pipeline_control.seek_force IS
    'Whether messages from there on are written again even if they are recorded';

-- The position of each pipeline: all sequences up to `floor`, and those in the ranges `above` it,
-- are recorded: written, a dead letter, a gap, or of no concern to the pipeline. The transaction
-- that writes rows and dead letters also updates this row, so it is correct after every crash,
-- restore and failover, and destinations need no unique key. A stream that is deleted and created
-- again has another creation time, and a row of its own.
--
-- The table has a handful of rows, each updated with every batch, many times a second:
--   * no index contains a column that changes, so all updates are heap-only (HOT);
--   * half of each page stays free, so dead tuples are pruned by later updates, long before vacuum;
--   * vacuum is triggered by count alone, for times when a long transaction prevents pruning;
--   * vacuum never truncates the file, which would take a lock that stops the worker;
--   * statistics never change the plan, so analyze hardly ever runs.
CREATE TABLE sr_event_writer.stream_position (
    pipeline         text           NOT NULL,
    stream           text           NOT NULL,
    stream_created   timestamptz    NOT NULL,
    floor            bigint         NOT NULL CHECK (floor >= 0),
    above            int8multirange NOT NULL DEFAULT '{}',
    newest_sequence  bigint,
    newest_published timestamptz,
    updated_at       timestamptz    NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, stream, stream_created)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000000,
    vacuum_truncate = false
);
COMMENT ON TABLE sr_event_writer.stream_position IS
    'Recorded position of each pipeline, updated in the transaction that writes the rows';
COMMENT ON COLUMN sr_event_writer.stream_position.stream IS
    'JetStream stream';
COMMENT ON COLUMN sr_event_writer.stream_position.stream_created IS
    'Creation time of the stream: distinguishes it from a later stream of the same name';
COMMENT ON COLUMN sr_event_writer.stream_position.floor IS
    'All stream sequences up to this one are recorded, or do not concern the pipeline';
COMMENT ON COLUMN sr_event_writer.stream_position.above IS
    'Stream sequences above the floor that are recorded as well';
COMMENT ON COLUMN sr_event_writer.stream_position.newest_sequence IS
    'Newest recorded message; if the stream has another message there, it was set back';
COMMENT ON COLUMN sr_event_writer.stream_position.newest_published IS
    'Publish time of that message';

-- Messages that will not be read: their stream removed them first, or an operator skipped them.
CREATE TABLE sr_event_writer.stream_gap (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text        NOT NULL,
    stream          text        NOT NULL,
    stream_created  timestamptz NOT NULL,
    first_sequence  bigint      NOT NULL,
    last_sequence   bigint      NOT NULL CHECK (last_sequence >= first_sequence),
    reason          text        NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sr_event_writer.stream_gap IS
    'Ranges of stream sequences that were not read, with the reason ("seek": skipped by an operator)';

-- Complete messages that did not become rows, with the reason. Written in the transaction that
-- records them in the position. Payloads may be confidential, so only superusers may read this
-- table without a grant.
CREATE TABLE sr_event_writer.dead_letter (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at   timestamptz NOT NULL DEFAULT now(),
    stream        text        NOT NULL,
    subject       text,
    sequence      bigint,
    delivered     bigint,
    published_at  timestamptz,
    headers       jsonb,
    payload       bytea,
    processor     text,
    stage         text        NOT NULL CHECK (stage IN ('decode', 'insert')),
    sqlstate      text,
    error         text,
    resolved_at   timestamptz,
    resolution    text,
    nats_stream   text,
    raw_headers   bytea
);
COMMENT ON TABLE sr_event_writer.dead_letter IS
    'Messages that could not become rows, with the reason';
COMMENT ON COLUMN sr_event_writer.dead_letter.stream IS
    'Name of the pipeline, as in sr_event_writer.streams';
COMMENT ON COLUMN sr_event_writer.dead_letter.sequence IS
    'Sequence in the JetStream stream nats_stream';
COMMENT ON COLUMN sr_event_writer.dead_letter.delivered IS
    'Number of deliveries of the message, including this one';
COMMENT ON COLUMN sr_event_writer.dead_letter.headers IS
    'Object of arrays, since a header may occur more than once';
COMMENT ON COLUMN sr_event_writer.dead_letter.stage IS
    'decode: the payload could not be decoded; insert: the table refused one of its rows';
COMMENT ON COLUMN sr_event_writer.dead_letter.resolved_at IS
    'Time at which it was resolved; NULL until then';
COMMENT ON COLUMN sr_event_writer.dead_letter.nats_stream IS
    'JetStream stream that the message came from';
COMMENT ON COLUMN sr_event_writer.dead_letter.raw_headers IS
    'Bytes of headers that cannot be parsed; headers is NULL then';

-- For the removal of old dead letters, and for queries of recent ones.
CREATE INDEX ON sr_event_writer.dead_letter (received_at);
-- For unresolved dead letters of a pipeline.
CREATE INDEX dead_letter_unresolved_idx ON sr_event_writer.dead_letter (stream, id)
    WHERE resolved_at IS NULL;


-- == Status functions =============================================================================

CREATE FUNCTION sr_event_writer_version() RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sr_event_writer_version_wrapper';
COMMENT ON FUNCTION sr_event_writer_version() IS
    'Version of the loaded library; the version of the SQL objects is in pg_extension';

CREATE FUNCTION sr_event_writer_status() RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sr_event_writer_status_wrapper';
COMMENT ON FUNCTION sr_event_writer_status() IS
    'State of the writer, of its connection to NATS and of every pipeline';

CREATE FUNCTION sr_event_writer_stream_status() RETURNS TABLE (
    name                      text,
    processor                 text,
    "table"                   text,
    nats_stream               text,
    consumer                  text,
    state                     text,
    detail                    text,
    last_sequence             bigint,
    pending                   bigint,
    lag_seconds               double precision,
    ack_pending               bigint,
    messages_total            bigint,
    rows_total                bigint,
    bytes_total               bigint,
    batches_total             bigint,
    redelivered_total         bigint,
    duplicates_skipped_total  bigint,
    dead_letters_total        bigint,
    retries_total             bigint,
    batch_ms_mean             double precision,
    batch_ms_p99              double precision,
    last_commit_at            timestamptz,
    last_error                text,
    last_error_at             timestamptz
)
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 7
    AS 'MODULE_PATHNAME', 'sr_event_writer_stream_status_wrapper';
COMMENT ON FUNCTION sr_event_writer_stream_status() IS
    'One row per active pipeline; source of the view sr_event_writer.stream_status';

CREATE VIEW sr_event_writer.stream_status AS
    SELECT * FROM @extschema@.sr_event_writer_stream_status();
COMMENT ON VIEW sr_event_writer.stream_status IS
    'One row per active pipeline: state, position, lag and counters since the server started';

-- Not immutable: a payload without a time gets the current time.
CREATE FUNCTION sr_event_writer_decode(processor text, payload bytea, subject text DEFAULT '')
    RETURNS TABLE (table_name text, "row" jsonb)
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sr_event_writer_decode_wrapper';
COMMENT ON FUNCTION sr_event_writer_decode(text, bytea, text) IS
    'Returns the rows that a payload becomes, or raises an error with the reason; writes nothing';


-- == Control functions ============================================================================

-- Both write sr_event_writer.pipeline_control in the caller's transaction, with the rights of the
-- extension's owner, so that an operator needs only EXECUTE on them.
CREATE FUNCTION sr_event_writer_pause(name text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_pause_wrapper';
COMMENT ON FUNCTION sr_event_writer_pause(text) IS
    'Pauses one pipeline, or all, when the transaction commits; survives a restart';

CREATE FUNCTION sr_event_writer_resume(name text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_resume_wrapper';
COMMENT ON FUNCTION sr_event_writer_resume(text) IS
    'Resumes one pipeline, or all, when the transaction commits';


-- Waits for commits of the worker. A snapshot taken before such a commit does not see its rows, so
-- read them in a later statement. Works on standbys and in read-only transactions.
CREATE FUNCTION sr_event_writer_wait(
    name      text,
    sequence  bigint,
    timeout   interval DEFAULT '30 s'
) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_wait_wrapper';
COMMENT ON FUNCTION sr_event_writer_wait(text, bigint, interval) IS
    'Waits until a pipeline has recorded a stream sequence; false after the timeout';

CREATE FUNCTION sr_event_writer_seek(name text, sequence bigint, force boolean DEFAULT false)
    RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_seek_wrapper';
COMMENT ON FUNCTION sr_event_writer_seek(text, bigint, boolean) IS
    'Moves a paused pipeline to this stream sequence when it resumes; returns the effect as text';

CREATE FUNCTION sr_event_writer_seek(name text, at timestamptz, force boolean DEFAULT false)
    RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_seek_time_wrapper';
COMMENT ON FUNCTION sr_event_writer_seek(text, timestamptz, boolean) IS
    'Moves a paused pipeline to the first message published at this time or later';

CREATE FUNCTION sr_event_writer_restart() RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sr_event_writer_restart_wrapper';
COMMENT ON FUNCTION sr_event_writer_restart() IS
    'Ends the workers when the transaction commits; PostgreSQL starts them again after a second';

-- Both need payloads and tables that the caller may not be allowed to read, so they run with the
-- rights of the extension's owner. Like the worker, replay writes rows as the owner of the table.
CREATE FUNCTION sr_event_writer_replay(
    stream   text     DEFAULT NULL,
    ids      bigint[] DEFAULT NULL,
    "limit"  integer  DEFAULT NULL,
    dry_run  boolean  DEFAULT false
) RETURNS TABLE (id bigint, ok boolean, table_name text, rows bigint, error text)
    LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_replay_wrapper';
COMMENT ON FUNCTION sr_event_writer_replay(text, bigint[], integer, boolean) IS
    'Decodes and inserts unresolved dead letters again, each exactly once';

CREATE FUNCTION sr_event_writer_discard(ids bigint[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sr_event_writer_discard_wrapper';
COMMENT ON FUNCTION sr_event_writer_discard(bigint[]) IS
    'Marks dead letters as resolved without writing them; returns their number';


-- == Default tables ===============================================================================

-- For installations without ServiceRadar's migrations. The caller owns the new tables, and the
-- worker writes to a table as its owner, so call this as the role that is to own them.
CREATE FUNCTION sr_event_writer_create_tables(
    schema       text    DEFAULT 'public',
    hypertables  boolean DEFAULT NULL
) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
    SECURITY INVOKER SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    -- Schema of TimescaleDB's functions; NULL without the extension.
    timescaledb text := (
        SELECT quote_ident(n.nspname)
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
    );
    wanted  record;
    target  text;
    index   text;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema
            USING ERRCODE = 'invalid_schema_name',
                  HINT = format('Run CREATE SCHEMA %I first.', schema);
    END IF;
    IF hypertables AND timescaledb IS NULL THEN
        RAISE EXCEPTION 'hypertables were asked for, but extension timescaledb is not in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run CREATE EXTENSION timescaledb first, or pass hypertables => false.';
    END IF;

    FOR wanted IN
        SELECT * FROM (VALUES
            ('timeseries_metrics', 'timestamp', $$
                "timestamp"        timestamptz      NOT NULL,
                poller_id          text             NOT NULL,
                agent_id           text,
                metric_name        text             NOT NULL,
                metric_type        text             NOT NULL,
                device_id          text,
                value              double precision NOT NULL,
                unit               text,
                tags               jsonb,
                partition          text,
                scale              double precision,
                is_delta           boolean          DEFAULT false,
                target_device_ip   text,
                if_index           integer,
                metadata           jsonb,
                created_at         timestamptz      NOT NULL DEFAULT now()
            $$, ARRAY[
                'INDEX ON %s ("timestamp" DESC)',
                'INDEX ON %s (device_id, "timestamp" DESC)'
            ]),
            ('events', 'event_timestamp', $$
                event_timestamp    timestamptz      NOT NULL,
                specversion        text,
                id                 text             NOT NULL,
                source             text,
                type               text,
                datacontenttype    text,
                subject            text,
                remote_addr        text,
                host               text,
                level              integer,
                severity           text,
                short_message      text,
                version            text,
                raw_data           text,
                created_at         timestamptz      NOT NULL DEFAULT now(),
                PRIMARY KEY (event_timestamp, id)
            $$, ARRAY[
                'UNIQUE INDEX idx_events_id_unique ON %s (id, event_timestamp)',
                'INDEX ON %s (event_timestamp DESC)',
                'INDEX ON %s (subject)'
            ]),
            ('sweep_host_states', 'last_sweep_time', $$
                host_ip                text             NOT NULL,
                poller_id              text             NOT NULL,
                agent_id               text             NOT NULL,
                partition              text             NOT NULL,
                network_cidr           text,
                hostname               text,
                mac                    text,
                icmp_available         boolean,
                icmp_response_time_ns  bigint,
                icmp_packet_loss       double precision,
                tcp_ports_scanned      jsonb,
                tcp_ports_open         jsonb,
                port_scan_results      jsonb,
                last_sweep_time        timestamptz      NOT NULL,
                first_seen             timestamptz,
                metadata               jsonb,
                created_at             timestamptz      NOT NULL DEFAULT now(),
                PRIMARY KEY (host_ip, poller_id, partition, last_sweep_time)
            $$, ARRAY[
                'INDEX ON %s (last_sweep_time DESC)'
            ]),
            ('netflow_metrics', 'timestamp', $$
                "timestamp"        timestamptz      NOT NULL,
                poller_id          text,
                agent_id           text,
                device_id          text,
                flow_direction     text,
                src_addr           text,
                dst_addr           text,
                src_port           integer,
                dst_port           integer,
                protocol           integer,
                packets            bigint,
                octets             bigint,
                sampler_address    text,
                input_snmp         integer,
                output_snmp        integer,
                metadata           jsonb,
                created_at         timestamptz      NOT NULL DEFAULT now()
            $$, ARRAY[
                'INDEX ON %s ("timestamp" DESC)'
            ]),
            ('otel_metrics', 'timestamp', $$
                "timestamp"        timestamptz      NOT NULL,
                trace_id           text,
                span_id            text             NOT NULL,
                service_name       text             NOT NULL,
                span_name          text             NOT NULL,
                span_kind          text,
                duration_ms        double precision,
                duration_seconds   double precision,
                metric_type        text,
                http_method        text,
                http_route         text,
                http_status_code   text,
                grpc_service       text,
                grpc_method        text,
                grpc_status_code   text,
                is_slow            boolean,
                component          text,
                level              text,
                unit               text,
                created_at         timestamptz      NOT NULL DEFAULT now(),
                PRIMARY KEY ("timestamp", span_name, service_name, span_id)
            $$, ARRAY[
                'INDEX ON %s (service_name, "timestamp" DESC)',
                'INDEX ON %s (component)',
                'INDEX ON %s (unit)'
            ]),
            ('otel_traces', 'timestamp', $$
                "timestamp"           timestamptz   NOT NULL,
                trace_id              text          NOT NULL,
                span_id               text          NOT NULL,
                parent_span_id        text,
                name                  text,
                kind                  integer,
                start_time_unix_nano  bigint,
                end_time_unix_nano    bigint,
                service_name          text,
                service_version       text,
                service_instance      text,
                scope_name            text,
                scope_version         text,
                status_code           integer,
                status_message        text,
                attributes            text,
                resource_attributes   text,
                events                text,
                links                 text,
                created_at            timestamptz   NOT NULL DEFAULT now(),
                PRIMARY KEY ("timestamp", trace_id, span_id)
            $$, ARRAY[
                'INDEX ON %s (trace_id)',
                'INDEX ON %s (service_name, "timestamp" DESC)'
            ]),
            ('logs', 'timestamp', $$
                "timestamp"          timestamptz    NOT NULL,
                trace_id             text           NOT NULL,
                span_id              text           NOT NULL,
                severity_text        text,
                severity_number      integer,
                body                 text,
                service_name         text,
                service_version      text,
                service_instance     text,
                scope_name           text,
                scope_version        text,
                attributes           text,
                resource_attributes  text,
                created_at           timestamptz    NOT NULL DEFAULT now(),
                PRIMARY KEY ("timestamp", trace_id, span_id)
            $$, ARRAY[
                'INDEX ON %s (service_name, "timestamp" DESC)',
                'INDEX ON %s (trace_id)'
            ])
        ) AS seed (name, time_column, definition, indexes)
    LOOP
        target := format('%I.%I', schema, wanted.name);
        IF to_regclass(target) IS NOT NULL THEN
            RAISE NOTICE 'relation % exists and is left as it is', target;
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE %s (%s)', target, wanted.definition);
        FOREACH index IN ARRAY wanted.indexes LOOP
            EXECUTE format('CREATE ' || index, target);
        END LOOP;
        IF coalesce(hypertables, timescaledb IS NOT NULL) THEN
            -- The indexes above are the same with and without TimescaleDB, so create no others.
            EXECUTE format(
                'SELECT %1$s.create_hypertable(%2$L::regclass, %1$s.by_range(%3$L),
                    create_default_indexes => false)',
                timescaledb, target, wanted.time_column);
        END IF;
        RETURN NEXT target;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION sr_event_writer_create_tables(text, boolean) IS
    'Creates the missing ones of the seven default tables and returns their names';


-- == Privileges ===================================================================================
--
-- PUBLIC may only read the version. pg_monitor may read the status, but no payloads. The role
-- sr_event_writer_operator may read the status and control the writer. Dead letters, the decoder
-- and DDL need an explicit GRANT.

REVOKE ALL ON SCHEMA sr_event_writer FROM PUBLIC;
REVOKE ALL ON
    sr_event_writer.pipeline_control,
    sr_event_writer.stream_position,
    sr_event_writer.stream_gap,
    sr_event_writer.dead_letter,
    sr_event_writer.stream_status
    FROM PUBLIC;
REVOKE ALL ON FUNCTION
    sr_event_writer_status(),
    sr_event_writer_stream_status(),
    sr_event_writer_decode(text, bytea, text),
    sr_event_writer_pause(text),
    sr_event_writer_resume(text),
    sr_event_writer_wait(text, bigint, interval),
    sr_event_writer_seek(text, bigint, boolean),
    sr_event_writer_seek(text, timestamptz, boolean),
    sr_event_writer_restart(),
    sr_event_writer_replay(text, bigint[], integer, boolean),
    sr_event_writer_discard(bigint[]),
    sr_event_writer_create_tables(text, boolean)
    FROM PUBLIC;

GRANT USAGE ON SCHEMA sr_event_writer TO pg_monitor;
GRANT SELECT ON
    sr_event_writer.stream_position,
    sr_event_writer.stream_gap,
    sr_event_writer.stream_status
    TO pg_monitor;
-- A view checks the privileges of its reader for functions, so a grant on the view is not enough.
GRANT EXECUTE ON FUNCTION
    sr_event_writer_status(),
    sr_event_writer_stream_status()
    TO pg_monitor;

-- A role belongs to the cluster, not to the extension. It is created only if it is missing, and
-- DROP EXTENSION leaves it: it may have members, and another database may have the extension too.
DO $$
DECLARE
    creator regrole;
BEGIN
    IF to_regrole('sr_event_writer_operator') IS NULL THEN
        CREATE ROLE sr_event_writer_operator;
        COMMENT ON ROLE sr_event_writer_operator IS
            'Members may control the extension sr_event_writer';
    END IF;

    -- A role with CREATEROLE may have created it beforehand, in order to control the writer as its
    -- member. PostgreSQL gives such a creator ADMIN without INHERIT and SET, and nobody else.
    SELECT member INTO creator FROM pg_auth_members
    WHERE roleid = to_regrole('sr_event_writer_operator')
        AND admin_option AND NOT inherit_option AND NOT set_option;
    IF FOUND THEN
        RAISE EXCEPTION 'role sr_event_writer_operator was created by %, which is not a superuser',
                creator
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'Its creator chooses its members, and they could control the writer.',
                HINT = 'Drop the role, and CREATE EXTENSION will create it.';
    END IF;

    GRANT USAGE ON SCHEMA sr_event_writer TO sr_event_writer_operator;
    GRANT SELECT ON
        sr_event_writer.stream_position,
        sr_event_writer.stream_gap,
        sr_event_writer.stream_status
        TO sr_event_writer_operator;
    GRANT EXECUTE ON FUNCTION
        sr_event_writer_status(),
        sr_event_writer_stream_status(),
        sr_event_writer_pause(text),
        sr_event_writer_resume(text),
        sr_event_writer_wait(text, bigint, interval),
        sr_event_writer_seek(text, bigint, boolean),
        sr_event_writer_seek(text, timestamptz, boolean),
        sr_event_writer_restart(),
        sr_event_writer_replay(text, bigint[], integer, boolean),
        sr_event_writer_discard(bigint[])
        TO sr_event_writer_operator;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'could not create role sr_event_writer_operator: %', SQLERRM
        USING HINT = 'Only superusers may control the writer. '
            'When the role exists, run the grants for it in docs/operations.md.';
END
$$;


-- == Data that pg_dump keeps ======================================================================

SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.pipeline_control', '');
SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.stream_position', '');
SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.stream_gap', '');
SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.stream_gap_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.dead_letter_id_seq', '');
