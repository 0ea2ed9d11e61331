import { answerJob, reportProgress } from '../../infra/process/job-child';
import type { IngestJob } from './job';
import { runIngestJob } from './run-job';

/** Entry of the limited child that reads users' files. */
answerJob((job: IngestJob, folder) => runIngestJob(job, folder, reportProgress));
