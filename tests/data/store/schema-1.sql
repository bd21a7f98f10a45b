BEGIN TRANSACTION;
CREATE TABLE audit (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	region TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	event_name TEXT NOT NULL, 
	document TEXT NOT NULL
);
INSERT INTO "audit" VALUES(1,'4e76f118-4822-49f0-afd6-95a21279bb0b','123456789012','us-east-1',1790245230123000,'CreateSecret','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"CreateSecret","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"name":"plain","clientRequestToken":"v0-00000000000000000000000000000","tags":[{"key":"k","value":"v"}],"forceOverwriteReplicaSecret":false},"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7"},"requestID":"53608d74-fccd-4fc0-9354-622e8b2e5f9b","eventID":"4e76f118-4822-49f0-afd6-95a21279bb0b","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012"}');
INSERT INTO "audit" VALUES(2,'36fa4f08-258f-49fc-81fd-180e7d6fcb96','123456789012','us-east-1',1790245230123000,'PutSecretValue','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"PutSecretValue","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"secretId":"plain","clientRequestToken":"v1-00000000000000000000000000000"},"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7"},"requestID":"b629691f-d5ab-4176-b18a-43ab33cab376","eventID":"36fa4f08-258f-49fc-81fd-180e7d6fcb96","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012","resources":[{"accountId":"123456789012","type":"AWS::SecretsManager::Secret","ARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7"}]}');
INSERT INTO "audit" VALUES(3,'eb7e1081-6c0b-4cc9-9af7-cad40347f0b2','123456789012','us-east-1',1790245230123000,'CreateSecret','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"CreateSecret","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"name":"keyed","clientRequestToken":"v0-00000000000000000000000000000","kmsKeyId":"alias/mine","forceOverwriteReplicaSecret":false},"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed-LKZln7"},"requestID":"257628fc-da7c-4299-969d-f1a4369e7a81","eventID":"eb7e1081-6c0b-4cc9-9af7-cad40347f0b2","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012"}');
INSERT INTO "audit" VALUES(4,'8af0e6e3-3532-4ee3-9610-4cbfa419dc7e','123456789012','us-east-1',1790245230123000,'CreateSecret','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"CreateSecret","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"name":"empty","clientRequestToken":"v0-00000000000000000000000000000","forceOverwriteReplicaSecret":false},"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:empty-CJoaaX"},"requestID":"053e319e-0257-4427-90cd-c54bd09c3793","eventID":"8af0e6e3-3532-4ee3-9610-4cbfa419dc7e","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012"}');
INSERT INTO "audit" VALUES(5,'848b11a7-9835-4256-a189-663934802863','123456789012','us-east-1',1790245230123000,'RotateSecret','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"RotateSecret","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"secretId":"plain","clientRequestToken":"v2-00000000000000000000000000000","rotationLambdaARN":"arn:aws:lambda:us-east-1:123456789012:function:rotate","rotationRules":{"automaticallyAfterDays":30}},"responseElements":{"arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7"},"requestID":"cbfe5abc-1876-44cf-b367-e2630dc6ebfc","eventID":"848b11a7-9835-4256-a189-663934802863","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012"}');
INSERT INTO "audit" VALUES(6,'d8b8ab9c-2a6b-454d-8b37-c5ebf47bb2df','123456789012','us-east-1',1790245230123000,'DeleteSecret','{"eventVersion":"1.11","userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"},"eventTime":"2026-09-24T10:20:30Z","eventSource":"secretsmanager.amazonaws.com","eventName":"DeleteSecret","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"smclient-embedded","requestParameters":{"secretId":"empty"},"responseElements":{"deletionDate":"2026-10-24T10:20:30Z","name":"empty","arn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:empty-CJoaaX"},"requestID":"b7ca3cb3-410b-41ee-b419-5a1b1f8e4cb8","eventID":"d8b8ab9c-2a6b-454d-8b37-c5ebf47bb2df","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","recipientAccountId":"123456789012"}');
CREATE TABLE keys (
	arn TEXT NOT NULL, 
	account TEXT NOT NULL, 
	region TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	managed BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	wrapped_material BLOB NOT NULL, 
	state TEXT NOT NULL, 
	alias TEXT, 
	PRIMARY KEY (arn)
);
INSERT INTO "keys" VALUES('arn:aws:kms:us-east-1:123456789012:key/c3f0b3d9-2eed-4488-bd72-2bc751b31f0d','123456789012','us-east-1','c3f0b3d9-2eed-4488-bd72-2bc751b31f0d',0,1790245230123000,X'68AC76BBFA4C0DEF421D9F610CC36FB57DCF315965D1213437D10DD1EA7DE402B35108B0ED946DFD9372DDC43B699343FEBED58F6CAA0EC377E0894C','Enabled','alias/mine');
INSERT INTO "keys" VALUES('arn:aws:kms:us-east-1:123456789012:key/00731bf2-0cac-4474-adf7-c16edfaf28cb','123456789012','us-east-1','00731bf2-0cac-4474-adf7-c16edfaf28cb',1,1790245230123000,X'8BB35EC58446CDCD5BE60D32966DF9DC9A6088F102841A0766949369EDDD4C042A4A80954C67DF6EFD86ACB4495240B9FEA567BEB0E4CAA813C1D8D1','Enabled','alias/aws/secretsmanager');
CREATE TABLE labels (
	arn TEXT NOT NULL, 
	label TEXT NOT NULL, 
	version_id TEXT NOT NULL, 
	PRIMARY KEY (arn, label), 
	FOREIGN KEY(arn, version_id) REFERENCES versions (arn, version_id) ON DELETE CASCADE
);
INSERT INTO "labels" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','AWSCURRENT','v1-00000000000000000000000000000');
INSERT INTO "labels" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','AWSPREVIOUS','v0-00000000000000000000000000000');
INSERT INTO "labels" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed-LKZln7','AWSCURRENT','v0-00000000000000000000000000000');
INSERT INTO "labels" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','AWSPENDING','v2-00000000000000000000000000000');
CREATE TABLE rotation_jobs (
	arn TEXT NOT NULL, 
	token TEXT NOT NULL, 
	asked_at BIGINT NOT NULL, 
	due_at BIGINT NOT NULL, 
	test_only BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	owner TEXT, 
	leased_until BIGINT, 
	fence BIGINT NOT NULL, 
	last_error TEXT, 
	PRIMARY KEY (arn), 
	FOREIGN KEY(arn) REFERENCES secrets (arn) ON DELETE CASCADE
);
INSERT INTO "rotation_jobs" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','v2-00000000000000000000000000000',1790245230123000,1790245230123000,0,0,NULL,NULL,0,NULL);
CREATE TABLE secrets (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	arn TEXT NOT NULL, 
	account TEXT NOT NULL, 
	region TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	changed_at BIGINT NOT NULL, 
	accessed_on INTEGER NOT NULL, 
	deleted_at BIGINT, 
	delete_after BIGINT, 
	description TEXT, 
	kms_key_id TEXT, 
	owning_service TEXT, 
	primary_region TEXT, 
	tags TEXT, 
	rotation TEXT, 
	policies TEXT, 
	stem TEXT NOT NULL, 
	is_deleted SMALLINT NOT NULL, 
	rotation_due_at BIGINT, 
	UNIQUE (account, region, name), 
	UNIQUE (arn)
);
INSERT INTO "secrets" VALUES(1,'arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','123456789012','us-east-1','plain',1790245230123000,1790245230123000,0,NULL,NULL,'d',NULL,NULL,NULL,'[["k","v"]]','{"enabled":true,"function_arn":"arn:aws:lambda:us-east-1:123456789012:function:rotate","automatically_after_days":30,"next_rotation_at":1792800000000000,"window_ends_at":1792886400000000}',NULL,'arn:aws:secretsmanager:us-east-1:123456789012:secret:plain',0,1792800000000000);
INSERT INTO "secrets" VALUES(3,'arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed-LKZln7','123456789012','us-east-1','keyed',1790245230123000,1790245230123000,0,NULL,NULL,NULL,'alias/mine',NULL,NULL,NULL,NULL,NULL,'arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed',0,NULL);
INSERT INTO "secrets" VALUES(4,'arn:aws:secretsmanager:us-east-1:123456789012:secret:empty-CJoaaX','123456789012','us-east-1','empty',1790245230123000,1790245230123000,0,1790245230123000,1792837230123000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'arn:aws:secretsmanager:us-east-1:123456789012:secret:empty',1,NULL);
CREATE TABLE settings (
	name TEXT NOT NULL, 
	value BLOB NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('smclient.magic',X'736D636C69656E7420656D6265646465642073746F7265');
INSERT INTO "settings" VALUES('smclient.schema',X'31');
INSERT INTO "settings" VALUES('master-key-check',X'22640A51DDB422C556DCE73A4B3124694E130E18BD3F70B8B3AE5BD7D321DCFA4A48F4281C4723AE6DD14CC9B9CEBE3F771BFE6B37');
INSERT INTO "settings" VALUES('smclient.generation',X'3D6F866FFB8BA7E35FD70A0D');
CREATE TABLE versions (
	arn TEXT NOT NULL, 
	version_id TEXT NOT NULL, 
	ordinal BIGINT NOT NULL, 
	created_at BIGINT NOT NULL, 
	accessed_on INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	key_id TEXT, 
	wrapped_key BLOB, 
	nonce BLOB, 
	context TEXT, 
	ciphertext BLOB, 
	PRIMARY KEY (arn, version_id), 
	FOREIGN KEY(arn) REFERENCES secrets (arn) ON DELETE CASCADE
);
INSERT INTO "versions" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','v0-00000000000000000000000000000',1,1790245230123000,0,'string','arn:aws:kms:us-east-1:123456789012:key/00731bf2-0cac-4474-adf7-c16edfaf28cb',X'AEE2ECFA463909D59CC0E13CB2E2CBF6308C59FA259CB46D1CD41FB8B27B0719A40A8D649DB379658924C3EED070664F024E0812020DA5AC1DFD585C',X'2D7CBC5A535EE5178B7BFAE2','{"SecretARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7","SecretVersionId":"v0-00000000000000000000000000000"}',X'2F23F02E933AA8666F836A06A7C1CD3A09BBFF55DA');
INSERT INTO "versions" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','v1-00000000000000000000000000000',2,1790245230123000,0,'string','arn:aws:kms:us-east-1:123456789012:key/00731bf2-0cac-4474-adf7-c16edfaf28cb',X'982B894B2CC21A9CB87C567F5DE36A01FEE27A552F396EBBA99F798D27EFD3F2790787E749B596364C46B7FAA399F88D9AAA02ACD5DC21B6161AA398',X'7032AD2B611E01137965384D','{"SecretARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7","SecretVersionId":"v1-00000000000000000000000000000"}',X'C17CE09BD885F2BFCB5084CD88E5AAE9F98A5939E079');
INSERT INTO "versions" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed-LKZln7','v0-00000000000000000000000000000',1,1790245230123000,0,'binary','arn:aws:kms:us-east-1:123456789012:key/c3f0b3d9-2eed-4488-bd72-2bc751b31f0d',X'E3E68D31B74438CBDA1F3D9D6A4E6909A7AEB661FDA174C1E98ED3CFAC14DF324BB06F6E7BA6E5C561D12076E09F5D0332D7F4EA37BBE782E140994B',X'62A3CE26B9A17A54FA514C29','{"SecretARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:keyed-LKZln7","SecretVersionId":"v0-00000000000000000000000000000"}',X'71EEAB7C89390F575C27AC8E0918A2ABDF96');
INSERT INTO "versions" VALUES('arn:aws:secretsmanager:us-east-1:123456789012:secret:plain-LTtAy7','v2-00000000000000000000000000000',3,1790245230123000,0,'string',NULL,NULL,NULL,NULL,NULL);
CREATE INDEX page_name ON secrets (account, region, is_deleted, name);
CREATE INDEX ix_secrets_stem ON secrets (stem);
CREATE INDEX page_accessed ON secrets (account, region, is_deleted, accessed_on, sequence);
CREATE INDEX page_changed ON secrets (account, region, is_deleted, changed_at, sequence);
CREATE INDEX page_created ON secrets (account, region, is_deleted, sequence);
CREATE INDEX due_rotation_due_at ON secrets (rotation_due_at, arn) WHERE rotation_due_at IS NOT NULL;
CREATE INDEX due_delete_after ON secrets (delete_after, arn) WHERE delete_after IS NOT NULL;
CREATE INDEX keys_of_scope ON keys (account, region);
CREATE INDEX audit_of_scope ON audit (account, region, sequence);
CREATE INDEX audit_of_event ON audit (account, region, event_name, sequence);
CREATE INDEX due_jobs ON rotation_jobs (due_at, arn);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('secrets',6);
INSERT INTO "sqlite_sequence" VALUES('audit',6);
COMMIT;
