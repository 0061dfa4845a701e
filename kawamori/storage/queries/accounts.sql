-- name: account_of
SELECT name, role FROM account WHERE token_digest = %(digest)s AND revoked_at IS NULL

-- name: add_account
INSERT INTO account (name, role, token_digest) VALUES (%(name)s, %(role)s, %(digest)s) ON CONFLICT (name) DO UPDATE
    SET role = excluded.role, token_digest = excluded.token_digest, created_at = clock_timestamp(), revoked_at = NULL
    WHERE account.revoked_at IS NOT NULL RETURNING name

-- name: all_accounts
SELECT name, role, created_at, revoked_at FROM account ORDER BY name

-- name: revoke_account
UPDATE account SET revoked_at = clock_timestamp() WHERE name = %(name)s AND revoked_at IS NULL
